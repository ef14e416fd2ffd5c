"""A test that never ends is stopped by the settings that all tests run with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.pythons import ROOT

NEVER_ENDS = """
import asyncio

async def spin():
    while True:
        try:
            await asyncio.sleep(0)
        except BaseException:
            pass

async def test_never_ends():
    asyncio.create_task(spin())
    await asyncio.Event().wait()
"""


def test_a_livelock_in_async_code_is_stopped(tmp_path: Path) -> None:
    """A signal's exception may be raised in any task, which catches it or ends alone."""
    (tmp_path / "test_it.py").write_text(NEVER_ENDS)
    settings = ("-c", str(ROOT / "pyproject.toml"), "--timeout", "1", "-p", "no:cacheprovider")
    ended = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "pytest", *settings, str(tmp_path)],
        cwd=tmp_path,
        timeout=30,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "Timeout" in ended.stdout) == (1, True)
