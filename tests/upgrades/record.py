"""`python -m tests.upgrades.record`: keep what this version leaves in Redis, for all later versions to be tried on.

Run it when FORMAT_NUMBER was raised, before a release, and when the test says that the newest recording has another shape
than what is written now. A recording is never changed: a new one stands beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from importlib.metadata import version
from pathlib import Path

import redis

from pipeline.clock import SystemClock
from pipeline.storage.keys import FORMAT_NUMBER
from tests.support.redis_server import RedisServer
from tests.upgrades.recording import FOLDER, Recording, record
from tests.upgrades.story import tell


def record_at(url: str, folder: Path) -> Recording:
    """Tell the story in the empty Redis at `url`, and take down what lies there then. `folder`: an empty one."""
    story = asyncio.run(tell(url, folder))
    with redis.Redis.from_url(url) as client:
        return record(client, version("sailpipe"), int(SystemClock().now() * 1000), story)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = FOLDER / f"format-{FORMAT_NUMBER}-{version('sailpipe')}.json"
    parser.add_argument(
        "file", nargs="?", type=Path, default=default, help=f"{default.name} beside the others"
    )
    path = parser.parse_args().file
    if path.exists():
        parser.error(f"{path} stands already, and a recording is never changed: name another file.")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "redis").mkdir()
        server = RedisServer(folder / "redis")
        server.start()
        try:
            found = record_at(server.url, folder)
        finally:
            server.stop()
    found.write(path)
    print(f"{path}: {len(found.keys)} keys, {path.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    _main()
