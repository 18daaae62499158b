/** The log in memory keeps what every log promises (D1, D2). */
import * as LogStoreMemory from "@nerve/runtime/log/LogStoreMemory"
import { suite } from "./LogStoreSuite.ts"

suite("LogStoreMemory", LogStoreMemory.layer)
