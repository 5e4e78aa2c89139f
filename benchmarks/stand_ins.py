"""The other side of a measurement, in a process of its own, so that its work is not counted as ours.

``python -m benchmarks.stand_ins webhook|kafka`` prints an address and ends when its standard input does. The servers
of the other kinds are real ones: see ``sinks.py``.
"""

import asyncio
import random
import sys
from pathlib import Path

from benchmarks.receiver import Receiver, receiving


async def _webhook() -> None:
    receiver = Receiver(0.0, random.Random(1))
    async with receiving(receiver):
        print(receiver.url, flush=True)  # noqa: T201  # this is how the parent learns of it
        await asyncio.to_thread(sys.stdin.read)


def _kafka() -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where the brokers are
    from mock_kafka import MockKafka

    with MockKafka() as kafka:
        kafka.create("bare")
        kafka.create("bench")
        print(kafka.servers, flush=True)  # noqa: T201  # as above
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1] == "webhook":
        asyncio.run(_webhook())
    else:
        _kafka()
