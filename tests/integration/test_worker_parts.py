"""A worker whose waker, splitter or renewals fail does not live on as if nothing were."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

KEYS = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s"}


@pytest.mark.parametrize("part", ["waker", "splitter", "loans"])
def test_a_worker_ends_when_a_vital_part_fails(part: str, redis_url: str) -> None:
    """It exits with 1, for its supervisor to start it anew, and says what failed but quotes nothing."""
    command = [sys.executable, "-m", "celery", "-A", "tests.support.broken_worker", "--quiet"]
    ended = subprocess.run(  # noqa: S603 - our own arguments
        [*command, "worker", "-P", "threads", "--without-gossip", "--without-mingle"],
        env={**os.environ, "SAILPIPE_REDIS_URL": redis_url, "BROKEN_PART": part, **KEYS},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 1, ended.stderr
    assert f"part={part}" in ended.stderr
    assert "error=KeyError" in ended.stderr
    assert "ann@" not in ended.stderr
