"""A nerve worker in Python, with nothing but the standard library (3.8 or newer).

It speaks the protocol of docs/ipc.md on stdin and stdout: one JSON value per line. Each call is an asyncio task,
so a cancelled call gets asyncio.CancelledError at its next `await`. A handler that computes for long must `await`
now and then (`asyncio.sleep(0)`), or the worker is deaf meanwhile.
"""
from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import threading
import time
import traceback

PROTOCOL_VERSION = 1
MAX_FRAME = 4 * 1024 * 1024  # bytes of a line at most, both ways
STREAM_WINDOW = 64  # chunks of a stream that the reader may not have taken yet
STREAM_BYTES = 256 * 1024  # and what they may hold before the next one waits
ORPHAN_GRACE = 1  # seconds that running calls get to clean up when the daemon is gone


class TypedError(Exception):
    """An error that the RPC declares. The tag and the fields are what its error Schema decodes."""

    def __init__(self, tag, **fields):
        super().__init__(tag)
        self.json = {"_tag": tag, **fields}


class Rejected(Exception):
    """The payload does not fit."""


class Worker:
    """Methods, and the line to the daemon. `key`, `incarnation` and `init` are set before `prepare` runs."""

    def __init__(self):
        self.key, self.incarnation, self.init = None, 0, None
        self._methods, self._calls, self._out = {}, {}, None

    def method(self, name):
        """Serves `name` by an async function (its result is the answer) or an async generator (a stream)."""

        def register(handler):
            self._methods[name] = handler
            return handler

        return register

    def log(self, level, message, **fields):
        """Sends a structured log line. Levels: TRACE, DEBUG, INFO, WARN, ERROR, FATAL."""
        self._send({"t": "log", "level": level, "message": message, "fields": fields})

    def serve(self, prepare=None):
        """Serves until the daemon says stop or is gone. `await prepare()` runs first; its result tells about us."""
        lines, self._out = _take_stdio()
        asyncio.run(self._main(lines, prepare))

    async def _main(self, lines, prepare):
        loop, inbox = asyncio.get_running_loop(), asyncio.Queue()
        threading.Thread(target=_read, args=(lines, loop, inbox), daemon=True).start()
        _, line = await inbox.get()
        if line is None:
            return
        first = json.loads(line)
        self.key, self.incarnation, self.init = first["key"], first["incarnation"], first["init"]
        info = None if prepare is None else await prepare()
        self._send({"t": "ready", "v": PROTOCOL_VERSION, "info": info, "ping": True})
        while True:
            arrived, line = await inbox.get()
            frame = {"t": "stop"} if line is None else json.loads(line)
            if frame["t"] == "stop":
                break
            self._receive(frame, arrived)
        tasks = [call.task for call in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _receive(self, frame, arrived):
        kind, call = frame["t"], self._calls.get(frame.get("id"))
        if kind == "call":
            self._start(frame["id"], frame["method"], frame.get("payload"))
        elif kind == "cancel" and call is not None:
            call.task.cancel()
        elif kind == "ack" and call is not None:
            call.grant(frame["n"])
        elif kind == "ping":
            # Sent by the loop that serves the calls: it has waited for as long as that was held up.
            delay = max(0, round(1000 * (time.monotonic() - arrived)))
            self._send({"t": "pong", "n": frame["n"], "delayMs": delay})
        elif kind not in ("cancel", "ack"):
            self.log("WARN", "a frame of an unknown kind was ignored: %s" % kind)

    def _start(self, id, method, payload):
        handler = self._methods.get(method)
        if handler is None:
            return self._send({"t": "reject", "id": id, "detail": "this worker has no method %s" % json.dumps(method)})
        call = self._calls[id] = _Call(id, method)
        call.task = asyncio.ensure_future(self._run(call, handler, payload))
        call.task.add_done_callback(lambda task: self._answer(call, task))

    async def _run(self, call, handler, payload):
        if not inspect.isasyncgenfunction(handler):
            return await handler(payload)
        items = handler(payload)
        try:
            async for item in items:
                await call.take(self._send({"t": "chunk", "id": call.id, "values": [item]}))
        finally:
            await items.aclose()

    def _answer(self, call, task):
        """Runs once per call, however it ended; the daemon counts on one answer each."""
        del self._calls[call.id]
        try:
            self._send(_settlement(call.id, task))
        except Exception as error:  # not JSON, NaN, or larger than a frame may be
            self._send(_defect(call.id, ValueError("the answer to %s: %s" % (call.method, error))))

    def _send(self, frame):
        """Writes a frame; gives how many bytes it had."""
        # What UTF-8 cannot hold (half a surrogate pair) becomes a JSON escape.
        text = json.dumps(frame, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        line = text.encode("utf-8", "backslashreplace")
        if len(line) > MAX_FRAME:
            raise ValueError("%d bytes are more than a frame may have" % len(line))
        try:
            self._out.write(line + b"\n")
            self._out.flush()
        except OSError:  # The daemon is gone: nobody to tell.
            os._exit(1)
        return len(line)


class _Call:
    """A call that runs, with the credit of its stream."""

    def __init__(self, id, method):
        self.id, self.method, self.task = id, method, None
        self._unread, self._open = [], asyncio.Event()  # the sizes of chunks that the reader has not taken

    def grant(self, n):
        del self._unread[:n]
        if self._may_send():
            self._open.set()

    async def take(self, size):
        """Counts a chunk of so many bytes that was sent, and waits until the next one may be."""
        self._unread.append(size)
        if not self._may_send():
            self._open.clear()
            await self._open.wait()

    def _may_send(self):
        return len(self._unread) < STREAM_WINDOW and sum(self._unread) < STREAM_BYTES


def _settlement(id, task):
    if task.cancelled():
        return {"t": "interrupted", "id": id}
    error = task.exception()
    if error is None:
        return {"t": "done", "id": id, "value": task.result()}
    if isinstance(error, TypedError):
        return {"t": "fail", "id": id, "error": error.json}
    if isinstance(error, Rejected):
        return {"t": "reject", "id": id, "detail": str(error)}
    return _defect(id, error)


def _defect(id, error):
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {"t": "die", "id": id, "defect": {"name": type(error).__name__, "message": str(error), "stack": stack}}


def _read(fd, loop, inbox):
    """Runs in a thread of its own, so that the end of the pipe is noticed while a handler blocks."""
    rest, chunk = b"", b" "
    try:
        while chunk:
            chunk = os.read(fd, 1 << 16)
            *lines, rest = (rest + chunk).split(b"\n")
            loop.call_soon_threadsafe(_put, inbox, time.monotonic(), lines)
        loop.call_soon_threadsafe(_put, inbox, time.monotonic(), [None])
    except RuntimeError:  # The loop is closed: we have stopped already.
        return
    time.sleep(ORPHAN_GRACE)
    os._exit(1)


def _put(inbox, arrived, lines):
    """All lines that were read at once, so that a call can be cancelled before it has begun."""
    for line in lines:
        inbox.put_nowait((arrived, line))


def _take_stdio():
    """Keeps stdin and stdout for the protocol: what is printed goes to stderr, and child processes get neither."""
    sys.stdout.flush()
    lines, out, null = os.dup(0), os.dup(1), os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return lines, os.fdopen(out, "wb")
