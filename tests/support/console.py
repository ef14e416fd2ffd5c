"""A client of the web application in this process, as a browser on this machine is one."""

from __future__ import annotations

import httpx
from redis.asyncio import Redis

from pipeline.clock import ManualClock
from pipeline.ingest.app import create_app
from pipeline.ingest.upstream import Upstream
from pipeline.settings import load_settings


def browser(
    redis: Redis, upstream: Upstream | None = None, /, **settings: str
) -> httpx.AsyncClient:
    """`settings`: SAILPIPE_ names without the prefix."""
    env = {f"SAILPIPE_{name}": value for name, value in settings.items()}
    app = create_app(load_settings(env), redis, ManualClock(), upstream)
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")
