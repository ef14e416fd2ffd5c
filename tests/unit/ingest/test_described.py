"""`/openapi.json` describes what is served, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakeredis
import httpx

from pipeline.ingest import create_app
from pipeline.ingest.paths import PathTable
from pipeline.settings import load_settings


async def test_every_path_that_takes_events_is_described_and_no_other(tmp_path: Path) -> None:
    """A way in says both itself; tests/integration/test_openapi.py compares the answers."""
    async with fakeredis.FakeAsyncRedis() as redis:
        app = create_app(load_settings({}, directory=tmp_path), redis)
        assert isinstance(app, PathTable)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            reply = await http.get("/openapi.json")
    document: dict[str, Any] = reply.json()
    ways = {path: item for path, item in document["paths"].items() if not path.startswith("/api/")}
    assert {path.strip("/") for path in ways} == set(app._apps) - {"metrics"}  # no way in
    assert document["openapi"] == "3.1.0"
    assert all("post" in item for item in ways.values())
