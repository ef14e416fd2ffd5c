"""What the pages of docs/ show in `sh` is run as it stands there, page by page, beside one `sailpipe up`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.docs.snippets import ROOT, Block, blocks, pages
from tests.docs.test_examples import ELSEWHERE
from tests.support.commands import wait_until
from tests.support.installation import Installation, installed

TUTORIAL = "tutorial.md"
MINE = [page for page in pages() if page not in {*ELSEWHERE, TUTORIAL} and blocks(page)]
SHOWN = "127.0.0.1:8000"
"""The address on the pages; a test's own is another."""
BLOCK_S = 120.0
EVENTS = 200
"""Of the shop's day, which the commands of the pages find."""
SETTINGS = {"SAILPIPE_HTTP_TIMEOUT": "2s"}

pytestmark = pytest.mark.timeout(400)


def clone(folder: Path) -> Path:
    """A folder that looks like a clone after `make setup`."""
    for name in ("examples", "deploy", "docs", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".venv").symlink_to(Path(sys.prefix))
    return folder


def run(shop: Installation, block: Block) -> str:
    """What the block prints; it must end well."""
    text = block.text.replace(SHOWN, f"127.0.0.1:{shop.port}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - our own pages
        ["/bin/bash", "-eo", "pipefail", "-c", text],
        cwd=shop.folder,
        env={**os.environ, "PATH": path, **shop.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BLOCK_S,
    )
    where = f"docs/{block.page}:{block.line}"
    assert done.returncode == 0, f"{where}\n{text}\n{done.stdout}"
    return done.stdout


def follow(shop: Installation, page: str) -> list[str]:
    """Do what a page says, in order; returns what its blocks print."""
    said = []
    for block in blocks(page):
        if block.mark == "first terminal":
            shop.restart()
        elif not block.mark:
            said.append(run(shop, block))
    return said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Some hundred events have come in, and some have died."""
    with installed(clone(tmp_path_factory.mktemp("clone")), **SETTINGS) as found:
        with (ROOT / "examples" / "shop-day.jsonl").open() as day:
            found.run("enqueue", "-", stdin="".join(islice(day, EVENTS)))
        wait_until(lambda: found.counts()["dead"] > 1, "some have died")
        yield found


@pytest.mark.parametrize("page", MINE)
def test_the_commands_of_a_page_work(shop: Installation, page: str) -> None:
    follow(shop, page)
