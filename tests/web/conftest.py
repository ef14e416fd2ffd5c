"""A whole `sailpipe up`, and a browser beside it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Playwright, sync_playwright

from tests.support.commands import running, sailpipe, wait_until
from tests.support.redis_server import RedisServer, free_port

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PASSWORD = "correct horse"
READ_PASSWORD = "battery staple"


@dataclass(frozen=True)
class Site:
    """A running installation: where its data are, and its console."""

    folder: Path
    address: str

    def command(self, *words: str, stdin: str = "") -> str:
        """Run a command of this installation; returns what it says."""
        done = sailpipe(
            *words, stdin=stdin.encode(), SAILPIPE_DATA_DIR=str(self.folder / ".sailpipe")
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def enqueue(self, *events: dict[str, Any]) -> None:
        """Hand these events in."""
        self.command("enqueue", "-", stdin="\n".join(map(json.dumps, events)))

    def dead(self, **filters: str) -> list[dict[str, Any]]:
        """The letters there are."""
        words = [word for name, value in filters.items() for word in (f"--{name}", value)]
        text = self.command("dead", "list", "--json", "--limit", "1000", *words)
        return [json.loads(line) for line in text.splitlines()]

    def counts(self) -> dict[str, int]:
        """The counts of the account."""
        found: dict[str, int] = json.loads(self.command("status", "--json"))["accounts"]["default"][
            "counts"
        ]
        return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One `up` against the sandbox, in which orders wait a second for an email."""
    folder, port = tmp_path_factory.mktemp("web"), free_port()
    environment = {"SAILPIPE_EMAIL_WAIT": "1s", "SAILPIPE_USER_WAIT": "1s"}
    with running("up", "--port", str(port), directory=folder, **environment) as up:
        up.wait_for("Ctrl-C stops")
        yield Site(folder, f"http://127.0.0.1:{port}")
        assert up.stop() == 0


@pytest.fixture(scope="session")
def guarded(site: Site) -> Iterator[str]:
    """The address of a second HTTP server of the same installation, with passwords."""
    port = free_port()
    environment = {
        "SAILPIPE_DATA_DIR": str(site.folder / ".sailpipe"),
        "SAILPIPE_CONSOLE_PASSWORD": PASSWORD,
        "SAILPIPE_CONSOLE_READ_PASSWORD": READ_PASSWORD,
    }
    with running("serve", "--port", str(port), directory=site.folder, **environment) as server:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(port), "the second server listens")
        yield address
        server.stop()


@pytest.fixture(scope="session")
def empty(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an HTTP server beside which nothing runs, and at which nothing has arrived."""
    port = free_port()
    environment = {"SAILPIPE_REDIS_URL": redis_server.url}
    folder = tmp_path_factory.mktemp("empty")
    with running("serve", "--port", str(port), directory=folder, **environment) as server:
        wait_until(lambda: _answers(port), "the server listens")
        yield f"http://127.0.0.1:{port}"
        server.stop()


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


def open_context(playwright: Playwright, folder: Path, **options: Any) -> BrowserContext:
    """A browser with a profile of its own."""
    return playwright.chromium.launch_persistent_context(
        folder,
        executable_path=shutil.which("chromium"),
        headless=True,
        args=list(FLAGS),
        **options,
    )


@pytest.fixture(scope="session")
def context(
    playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    opened = open_context(playwright, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong that a browser would say."""
    context.clear_cookies()
    opened = context.new_page()
    said: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        said.append("a dialog")
        dialog.dismiss()

    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", dismiss)
    yield opened
    opened.close()
    harmless = ("status of 4", "Autofocus processing was blocked")
    assert [text for text in said if not any(one in text for one in harmless)] == []


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
