"""A client that writes a header whose name is not UTF-8, as any program can that is not built on aiokafka."""

import asyncio
import json
import os
import sys

_PROGRAM = """
import asyncio, json, sys
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main():
    async with AIOKafkaProducer(**json.loads(sys.argv[1])) as producer:
        await producer.send_and_wait(sys.argv[2], b"v", key=b"k", partition=0, headers=[(Name("x"), b"1")])

asyncio.run(main())
"""


async def send_undecodable(options: dict[str, str], topic: str) -> None:
    """Put one such record on partition 0 of a topic."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PROGRAM, json.dumps(options), topic), env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    )
    assert await process.wait() == 0
