/**
 * `watch` with the real daemon of a workspace.
 */
import type { NerveConfig } from "@nerve/core/config/NerveConfig"
import * as Daemon from "@nerve/node/daemon/Daemon"
import type { Workspace } from "@nerve/node/daemon/Workspace"
import type * as Option from "effect/Option"
import { watch } from "./watch.ts"
import { version } from "../version.ts"

export const watchDaemon = (workspace: Workspace, config: NerveConfig, forMs: Option.Option<number>) =>
  watch(Daemon.open({ workspace, config, version }), {
    forMs,
    headline: `nerve ${version} in ${workspace.root}; Ctrl-C stops it`
  })
