"""A partner that watches an audience: it writes down each event, and comes back by cursor when it is cut, to any server.

`watcher.py KEY AUDIENCE FILE SLOW URL...`. What stands in the file is what it has seen, so it can be killed at any moment.
It ends with whoever started it.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

from websockets.exceptions import ConnectionClosed, InvalidHandshake

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.api.client import Client


async def main(key: str, audience: str, told: Path, slow: bool, urls: list[str]) -> None:  # noqa: FBT001
    cursor: str | None = None
    if lines := told.read_text().split("\n")[:-1]:  # noqa: ASYNC240 # nothing else is done here
        cursor = json.loads(lines[-1])["cursor"]
    chance = random.Random(str(told))
    with told.open("a") as file:
        parent = os.getppid()
        while os.getppid() == parent:
            try:
                async with (
                    Client(chance.choice(urls), key) as client,
                    client.watching(audience, cursor) as socket,
                ):
                    # It cuts the socket by itself, too, now and then.
                    for _ in range(chance.choice([5, 50, 1_000_000])):
                        event = json.loads(await socket.connection.recv())
                        if event["type"] != "next":
                            break
                        (found,) = event["payload"]["data"].values()
                        file.write(json.dumps(found) + "\n")
                        file.flush()
                        cursor = found["cursor"]
                        if found["kind"] == "FeedEnded":
                            return
                        if slow:
                            await asyncio.sleep(0.05)
            except (
                OSError,
                ConnectionClosed,
                InvalidHandshake,
                TimeoutError,
                AssertionError,
                AttributeError,
            ):
                pass
            await asyncio.sleep(chance.uniform(0.05, 0.3))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4] == "1", sys.argv[5:]))
