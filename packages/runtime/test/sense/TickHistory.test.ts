import { layerMemory } from "@nerve/runtime/sense/TickHistory"
import { suite } from "./TickHistorySuite.ts"

suite("TickHistory in memory", layerMemory)
