/**
 * The modules that a bundled worker entry carries and hands on to user code, by specifier. The list is
 * what senses, roles and workers commonly use; what is not here is loaded from the user's own
 * node_modules, at the price that it has there.
 */
import * as Core from "@nerve/core"
import * as Worker from "@nerve/runtime/ipc/Worker"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Function from "effect/Function"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Match from "effect/Match"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Predicate from "effect/Predicate"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSchema from "effect/rpc/RpcSchema"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as SqlError from "effect/sql/SqlError"
import * as Stream from "effect/Stream"
import * as String from "effect/String"
import * as Struct from "effect/Struct"
import * as Version from "effect/Version"
import type { Shared } from "./sharedModules.ts"

/** What every entry hands on. */
export const bundledModules: Shared = {
  "@nerve/core": Core,
  "@nerve/core/authoring/Adapter": Core.Adapter,
  "@nerve/core/authoring/Role": Core.Role,
  "@nerve/core/authoring/Sense": Core.Sense,
  "@nerve/core/authoring/Workflow": Core.Workflow,
  "@nerve/runtime": { Worker },
  "@nerve/runtime/ipc/Worker": Worker,
  "effect/Array": Arr,
  "effect/Cause": Cause,
  "effect/Clock": Clock,
  "effect/Config": Config,
  "effect/Console": Console,
  "effect/Context": Context,
  "effect/Data": Data,
  "effect/DateTime": DateTime,
  "effect/Deferred": Deferred,
  "effect/Duration": Duration,
  "effect/Effect": Effect,
  "effect/Exit": Exit,
  "effect/Fiber": Fiber,
  "effect/Function": Function,
  "effect/Layer": Layer,
  "effect/Logger": Logger,
  "effect/Match": Match,
  "effect/Option": Option,
  "effect/Order": Order,
  "effect/Predicate": Predicate,
  "effect/Queue": Queue,
  "effect/Random": Random,
  "effect/Record": Record,
  "effect/Redacted": Redacted,
  "effect/Ref": Ref,
  "effect/Result": Result,
  "effect/rpc/Rpc": Rpc,
  "effect/rpc/RpcGroup": RpcGroup,
  "effect/rpc/RpcSchema": RpcSchema,
  "effect/Schedule": Schedule,
  "effect/Schema": Schema,
  "effect/Scope": Scope,
  "effect/sql/SqlClient": SqlClient,
  "effect/sql/SqlError": SqlError,
  "effect/Stream": Stream,
  "effect/String": String,
  "effect/Struct": Struct
}

/** The version of Effect that is bundled. */
export const effectVersion: string = Version.getCurrentVersion()
