"""The worker that the tests drive: good answers, bad ones, and ways to misbehave."""
import asyncio
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from nerve_worker import Rejected, TypedError, Worker  # noqa: E402

worker = Worker()
produced = 0
closed = 0
cancelled = 0


@worker.method("Echo")
async def echo(payload):
    return payload["text"]


@worker.method("Init")
async def init(payload):
    return {"key": worker.key, "incarnation": worker.incarnation, "init": worker.init}


@worker.method("Huge")
async def huge(payload):
    return "x" * payload["length"]


@worker.method("NotANumber")
async def not_a_number(payload):
    return float("nan")


@worker.method("Refuse")
async def refuse(payload):
    raise TypedError("Refused", why=payload["why"], code=payload["code"])


@worker.method("RefuseOddly")
async def refuse_oddly(payload):
    raise TypedError("Refused", reason="not the fields that were declared")


@worker.method("Raise")
async def throw(payload):
    return {}["no such key"]


@worker.method("Reject")
async def reject(payload):
    raise Rejected("not today")


@worker.method("Count")
async def count(payload):
    global produced, closed
    try:
        for n in range(payload["to"]):
            produced += 1
            yield n
    finally:
        closed += 1


@worker.method("Wide")
async def wide(payload):
    global produced
    for _ in range(payload["to"]):
        produced += 1
        yield "w" * payload["size"]


@worker.method("CountThenRefuse")
async def count_then_refuse(payload):
    yield 1
    raise TypedError("Refused", why="enough", code=2)


@worker.method("Wait")
async def wait(payload):
    global cancelled
    worker.log("INFO", "waiting")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        cancelled += 1
        worker.log("WARN", "cancelled", so_far=cancelled)
        raise


@worker.method("Stubborn")
async def stubborn(payload):
    worker.log("INFO", "stubborn")
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            worker.log("INFO", "not impressed")


@worker.method("Counters")
async def counters(payload):
    return {"produced": produced, "closed": closed, "cancelled": cancelled}


@worker.method("Print")
async def say(payload):
    print("printed", payload["text"])
    print("to stderr", payload["text"], file=sys.stderr)
    # A child process gets neither the pipe from the daemon nor the one to it.
    child = subprocess.run([sys.executable, "-c", "print('child read', repr(input()))"], stderr=subprocess.PIPE)
    return child.stderr.decode().strip().splitlines()[-1]


@worker.method("WriteRaw")
async def write_raw(payload):
    """Past the module, onto the pipe."""
    for _ in range(payload["times"]):
        worker._out.write(payload["text"].encode())
    worker._out.flush()


@worker.method("Crash")
async def crash(payload):
    print("about to crash", file=sys.stderr)
    os._exit(payload["code"])


@worker.method("Block")
async def block(payload):
    """Blocks the event loop."""
    worker.log("INFO", "blocking")
    time.sleep(3600)


async def prepare():
    return {"pid": os.getpid()}


if __name__ == "__main__":
    if os.environ.get("FIXTURE_PRINT_FIRST"):
        print(os.environ["FIXTURE_PRINT_FIRST"], flush=True)
    worker.serve(prepare)
