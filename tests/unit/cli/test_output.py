"""What commands print, where printing is not a matter of course."""

from __future__ import annotations

import errno
import io
import sys

import pytest

from pipeline.cli.app import run
from tests.support.commands import sailpipe

EVENT = '{"type":"identify","userId":"u1","traits":{"firstName":"Léa"}}'.encode()


class FullDisk(io.StringIO):
    """Takes nothing."""

    def write(self, _: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`sailpipe dead export > backup.jsonl` must not seem to have written what it has not."""
    monkeypatch.setattr(sys, "stdout", FullDisk())
    assert run(["map", __file__]) == 1
    err = capfd.readouterr().err
    assert "The output cannot be written: No space left on device." in err


def test_results_are_utf_8_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON is nothing else, and names come in every script."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = sailpipe("map", "-", stdin=EVENT)
    assert (done.returncode, "Léa".encode() in done.stdout) == (0, True)
