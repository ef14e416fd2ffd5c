"""docs/howto/upgrade.md: its commands run on an installation that is well, and what it quotes is what is said."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from pipeline.cli.app import run
from pipeline.errors import WrongFormat
from pipeline.sandbox.server import running_in_thread
from pipeline.storage import keys
from pipeline.storage.format import _judge
from tests.docs.snippets import DOCS, snippets
from tests.unit.cli.test_doctor import all_processes_beat

PAGE = "howto/upgrade.md"


def test_the_commands_of_the_page_end_with_0(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a worker serves each lane and a splitter runs, none of them needs a person."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    asyncio.run(all_processes_beat(redis_url))
    lines = [line for block in snippets(PAGE, "sh") for line in block.splitlines()]
    with running_in_thread() as sandbox:
        monkeypatch.setenv("SAILPIPE_API_URL", sandbox.url)
        monkeypatch.setenv("SAILPIPE_PAGEVIEW_URL", sandbox.url)
        codes = {line: run(shlex.split(line)[1:]) for line in lines}
    assert codes == dict.fromkeys(lines, 0)
    assert len(codes) == 3


def test_the_sentence_that_is_quoted_is_said() -> None:
    with pytest.raises(WrongFormat) as said:
        _judge(str(keys.FORMAT_NUMBER + 1).encode())
    assert f"\nsailpipe: {said.value}\n" in (DOCS / PAGE).read_text()
