"""A client of the web application in this process, as a browser on this machine is one."""

from __future__ import annotations

import httpx
from redis.asyncio import Redis

from pipeline.clock import ManualClock
from pipeline.ingest.app import create_app
from pipeline.ingest.upstream import Upstream
from pipeline.sailthru.answers import Answer
from pipeline.sailthru.calls import Call
from pipeline.settings import load_settings
from pipeline.verbs.people import NotAsked


def browser(
    redis: Redis, upstream: Upstream | None = None, /, **settings: str
) -> httpx.AsyncClient:
    """`settings`: SAILPIPE_ names without the prefix."""
    env = {f"SAILPIPE_{name}": value for name, value in settings.items()}
    app = create_app(load_settings(env), redis, ManualClock(), upstream)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


class Asked(Upstream):
    """Answers every call in the same way, and notes it."""

    def __init__(self, answer: Answer | NotAsked) -> None:
        self.calls: list[tuple[str, Call]] = []
        self._answer = answer

    async def ask(self, account: str, call: Call) -> Answer:
        self.calls.append((account, call))
        if isinstance(self._answer, NotAsked):
            raise self._answer
        return self._answer
