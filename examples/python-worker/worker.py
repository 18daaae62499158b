"""The example's worker: square roots with a typed error, a stream of primes, a sleep that can be cancelled."""
import asyncio
import math
import platform

from nerve_worker import Rejected, TypedError, Worker

worker = Worker()


@worker.method("Sqrt")
async def sqrt(payload):
    if payload["of"] < 0:
        raise TypedError("NegativeNumber", of=payload["of"])
    return math.sqrt(payload["of"])


@worker.method("Primes")
async def primes(payload):
    below = payload["below"]
    if below > 10_000_000:
        raise Rejected("below must be at most 10 000 000")
    sieve = bytearray([1]) * max(below, 2)
    for n in range(2, below):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(range(n * n, below, n)))
            yield n
        elif n % 1000 == 0:
            await asyncio.sleep(0)  # Lets a cancellation through.


@worker.method("Sleep")
async def sleep(payload):
    try:
        await asyncio.sleep(payload["seconds"])
    except asyncio.CancelledError:
        worker.log("INFO", "woken early", seconds=payload["seconds"])
        raise


async def prepare():
    return {"python": platform.python_version()}


if __name__ == "__main__":
    worker.serve(prepare)
