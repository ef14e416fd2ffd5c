"""What the pages of docs/ show in `sh` is run as it stands there, page by page, beside one `sailpipe up`."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from pipeline.embedded.binary import version_of
from tests.docs.snippets import ROOT, Block, blocks, pages
from tests.docs.test_examples import ELSEWHERE
from tests.support.commands import wait_until
from tests.support.installation import Installation, command_in, installed
from tests.support.redis_server import RedisServer, redis_binary

TUTORIAL = "tutorial.md"
BACKUP = "howto/back-up.md"
MINE = [page for page in pages() if page not in {*ELSEWHERE, TUTORIAL, BACKUP} and blocks(page)]
SHOWN = ("8000", "8900", "9090")
"""The ports on the pages. A test's own are others: the first is that of `up`."""
TOOLS = ("curl", "prometheus", "promtool")
YES = "y\n" * 9
"""What a person answers who is asked."""
BLOCK_S = 120.0
EVENTS = 200
"""Of the shop's day, which the commands of the pages find."""
SETTINGS = {"SAILPIPE_HTTP_TIMEOUT": "2s"}

pytestmark = pytest.mark.timeout(400)


def restarts(page: str) -> bool:
    """Whether the page has `up` started again, with other settings: it then has one for itself."""
    return any(block.mark == "first terminal" for block in blocks(page))


def clone(folder: Path) -> Path:
    """A folder that looks like a clone after `make setup`."""
    for name in ("examples", "deploy", "docs", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def run(shop: Installation, block: Block) -> str:
    """What the block prints; it must end well."""
    text = block.text
    for number, shown in enumerate(SHOWN):
        text = re.sub(rf'(127\.0\.0\.1(?:", |:)){shown}', rf"\g<1>{shop.port + number}", text)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own pages
        ["/bin/sh", "-ec", text],
        cwd=shop.folder,
        env={**os.environ, "PATH": path, **shop.environment},
        input=YES,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BLOCK_S,
    )
    where = f"docs/{block.page}:{block.line}"
    assert done.returncode == 0, f"{where}\n{text}\n{done.stdout}"
    return done.stdout


def follow(shop: Installation, page: str) -> None:
    """Do what a page says, in order. Skipped at the end where a block was left out because a program is not there."""
    missing = set()
    for block in blocks(page):
        tools = {tool for tool in TOOLS if re.search(rf"^ *{tool}\b", block.text, re.MULTILINE)}
        absent = {tool for tool in tools if shutil.which(tool) is None}
        missing |= absent
        if block.mark == "first terminal":
            shop.restart()
        elif not block.mark and not absent:
            run(shop, block)
    if missing:
        pytest.skip(f"no {', '.join(sorted(missing))}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Some hundred events have come in, and some have died."""
    with installed(clone(tmp_path_factory.mktemp("clone")), **SETTINGS) as found:
        with (ROOT / "examples" / "shop-day.jsonl").open() as day:
            found.run("enqueue", "-", stdin="".join(islice(day, EVENTS)))
        wait_until(lambda: found.counts()["dead"] > 1, "some have died")
        yield found


@pytest.mark.parametrize("page", [page for page in MINE if not restarts(page)])
def test_the_commands_of_a_page_work(shop: Installation, page: str) -> None:
    follow(shop, page)


@pytest.mark.parametrize("page", [page for page in MINE if restarts(page)])
def test_the_commands_of_a_page_that_changes_settings_work(tmp_path: Path, page: str) -> None:
    with installed(clone(tmp_path), **SETTINGS) as alone:
        follow(alone, page)


def test_a_copy_that_is_restored_has_what_waited(shop: Installation, tmp_path: Path) -> None:
    """As the page on backups does it, with a Redis that is started on the copy."""
    if shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli")
    if version_of(redis_binary()) < (7, 0):
        pytest.skip("the page copies what Redis 7 or newer appends to")
    order = {"type": "track", "userId": "guest-7", "event": "Order Completed"}
    item = {
        "product_id": "p",
        "name": "Tea",
        "price": 4,
        "quantity": 1,
        "url": "https://s.example/",
    }
    shop.enqueue(order | {"properties": {"order_id": "waits-7", "total": 4, "products": [item]}})
    shop.wait_for("waits for an email", "trace", "waits-7")
    follow(shop, BACKUP)
    server = RedisServer(shop.folder / "restored", append_only=True)
    server.start()
    try:
        environment = {"SAILPIPE_REDIS_URL": server.url}
        paused = command_in(tmp_path, "pause", "--why", "restored", **environment)
        assert "Closed: account is paused" in paused.stdout
        said = command_in(tmp_path, "trace", "waits-7", **environment).stdout
        assert "waits for an email" in said or "waits for deliveries to go on" in said
        ended = command_in(tmp_path, "resume", **environment)
        assert ended.stdout == "All gates are open.\n"
    finally:
        server.stop()


def test_a_newcomer_gets_from_a_clone_to_an_alert_by_copying(tmp_path: Path) -> None:
    """The tutorial, from its first command to its last."""
    folder = clone(tmp_path)
    with installed(folder) as alone:
        try:
            follow(alone, TUTORIAL)
            counts = [alone.counts(name) for name in ("default", "shoes")]
        finally:
            end(folder / "receiver.pid", folder / "prometheus.pid")
    assert (counts[0]["dead"], counts[1]["delivered"]) == (0, 1)
    assert counts[0]["delivered"] == 2 + 2 * 8 + 6


def end(*files: Path) -> None:
    """What a page started, if it is still there."""
    for file in files:
        if file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
