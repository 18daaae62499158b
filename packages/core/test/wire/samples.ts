/**
 * What a daemon tells of itself, for tests that are about how it is shown.
 */
import { DaemonStatus, SenseView, WorkflowView } from "@nerve/core/wire/ControlRpcs"
import { Schema } from "effect"

/** A sense that has loaded, and that only a trigger starts. */
export const senseView = (name: string, over: Partial<typeof SenseView.Encoded> = {}): SenseView =>
  Schema.decodeSync(SenseView)({
    name,
    group: "main",
    status: "ok",
    problem: null,
    intervalMs: null,
    cron: null,
    on: [],
    nextAt: null,
    lastAt: null,
    computes: 0,
    signals: 0,
    errors: 0,
    ...over
  })

/** A workflow with a thread in its only slot. */
export const workflowView = (name: string, over: Partial<typeof WorkflowView.Encoded> = {}): WorkflowView =>
  Schema.decodeSync(WorkflowView)({
    name,
    concurrency: 1,
    overflow: "drop",
    maxQueue: 100,
    onChange: "finish-on-old",
    paused: null,
    waiting: 0,
    active: 1,
    queued: 0,
    roles: ["collector"],
    problem: null,
    ...over
  })

export const daemonStatus = (over: Partial<typeof DaemonStatus.Encoded>): DaemonStatus =>
  Schema.decodeSync(DaemonStatus)({
    version: "0.1.0",
    pid: 42,
    hostname: "box",
    workspace: "/srv/watch",
    startedAt: 0,
    uptimeMs: 65_000,
    senses: [],
    workflows: [],
    workers: [],
    ...over
  })
