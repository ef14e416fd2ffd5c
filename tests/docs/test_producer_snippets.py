"""What the pages of the ways in show is run as it stands there: scripts, views of three web frameworks, commands."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from pipeline.storage import keys
from tests.docs.snippets import snippet, snippets
from tests.support.commands import DEADLINE_S, running, wait_until
from tests.support.redis_server import free_port

PYTHON = "producers/python.md"
UNREACHABLE = "redis://127.0.0.1:1/0"
DJANGO = """
import django
from django.conf import settings

database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DATABASES={"default": database})
django.setup()
"""
"""What a project has of its own, before its views are imported."""
POST = {
    "django": """
from django.test import Client
from django.urls import path

urlpatterns = [path("sign-up", sign_up)]
answer = Client(raise_request_exception=False).post("/sign-up", {"email": "ann@example.com"})
print(answer.status_code, answer.content.decode())
""",
    "flask": """
answer = app.test_client().post("/sign-up", data={"email": "ann@example.com"})
print(answer.status_code, answer.text)
""",
    "fastapi": """
import asyncio, httpx

async def post():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        answer = await client.post("/sign-up", json={"email": "ann@example.com"})
    print(answer.status_code, answer.text)

asyncio.run(post())
""",
}
"""By the name that a framework is imported by, which tells its snippet: one request to the page's view."""


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def run(program: str, url: str, folder: Path) -> str:
    """What a Python program prints; it must end well, and warn of nothing."""
    (folder / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        cwd=folder,
        env={**os.environ, "SAILPIPE_REDIS_URL": url},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def events(client: redis.Redis) -> list[dict[str, Any]]:
    """In the raw stream, in order."""
    found: Any = client.xrange(keys.RAW)
    return [json.loads(fields[b"event"]) for _, fields in found]


@pytest.mark.parametrize("mark", ["pipeline.enqueue(event)", "asyncio.run(main())"])
def test_a_script_enqueues_its_events(
    client: redis.Redis, redis_url: str, tmp_path: Path, mark: str
) -> None:
    [program] = [one for one in snippets(PYTHON, "python") if mark in one and "django" not in one]
    assert run(program, redis_url, tmp_path) == ""
    assert [event["event"] for event in events(client)] == ["Registered"] * 3


@pytest.mark.parametrize("framework", POST)
def test_a_view_of_a_web_framework_enqueues_its_event(
    client: redis.Redis, redis_url: str, tmp_path: Path, framework: str
) -> None:
    """As the test client of the framework posts to it."""
    program = view(framework)
    said = run(program, redis_url, tmp_path)
    assert said.split(maxsplit=1)[0] == "200"
    [event] = events(client)
    assert event["traits"] == {"email": "ann@example.com"}


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_a_view_says_that_redis_is_away(framework: str, tmp_path: Path) -> None:
    """The handler of the page, in place of a traceback."""
    said = run(view(framework), UNREACHABLE, tmp_path)
    assert said == "503 Please try again in a moment.\n"


def shell(program: str, url: str, folder: Path, stdin: bytes = b"") -> str:
    """What commands print that stand on a page; they must end well."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own pages
        ["/bin/sh", "-ec", program],
        cwd=folder,
        env={**os.environ, "PATH": path, "SAILPIPE_REDIS_URL": url},
        input=stdin,
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def test_files_are_enqueued_in_their_order(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    """One of lines, one that is packed, and standard input."""
    [program] = snippets("producers/files.md", "sh")
    first, second, third = (json.dumps(page(number)).encode() for number in range(3))
    (tmp_path / "events.jsonl").write_bytes(first)
    (tmp_path / "more.jsonl.gz").write_bytes(gzip.compress(second))
    assert shell(program, redis_url, tmp_path, third) == "Enqueued: 3.\n"
    assert [event["userId"] for event in events(client)] == ["u0", "u1", "u2"]


def test_an_entry_is_added_without_a_client_of_redis(
    client: redis.Redis, redis_url: str, tmp_path: Path
) -> None:
    [program] = snippets("producers/redis.md", "sh")
    entry_id = shell(program, redis_url, tmp_path).strip()
    found: Any = client.xrange(keys.RAW)
    assert [name.decode() for name, _ in found] == [entry_id]
    assert [event["type"] for event in events(client)] == ["page"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_an_event_is_posted_by_curl(client: redis.Redis, redis_url: str, tmp_path: Path) -> None:
    """To the server as it is started."""
    [program] = snippets("producers/segment.md", "sh")
    port = str(free_port())
    with running("serve", "--port", port, directory=tmp_path, SAILPIPE_REDIS_URL=redis_url):
        wait_until(lambda: is_alive(port), "the server answers")
        said = shell(program.replace("8000", port), redis_url, tmp_path)
    assert json.loads(said) == {"success": True}
    assert [event["event"] for event in events(client)] == ["Registered"]


def is_alive(port: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def page(number: int) -> dict[str, Any]:
    return {"type": "page", "userId": f"u{number}"}


def view(framework: str) -> str:
    """The page's snippet, and one request."""
    before = DJANGO if framework == "django" else ""
    return before + snippet(PYTHON, "python", f"from {framework}") + POST[framework]
