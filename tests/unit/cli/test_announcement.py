"""What `up` says once everything runs: the console first, the command to go on with last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from pipeline.cli.announcement import Started
from pipeline.settings import load_settings

LIVE = {"SAILPIPE_API_KEY": "abcd-key", "SAILPIPE_API_SECRET": "s"}
CURL = (
    "curl -u sandbox: http://127.0.0.1:8000/v1/identify -d "
    '\'{"userId": "u-1", "traits": {"email": "ann@example.com"}}\''
)


def lines(
    host: str = "127.0.0.1",
    env: Mapping[str, str] = MappingProxyType({}),
    *,
    sample: bool = False,
    foreign: bool = False,
) -> list[str]:
    settings = load_settings(env, directory=Path("/nonexistent"))
    started = Started(settings, Path("/data"), host, 8000, "bin/sailpipe", sample, foreign)
    return [line for line in started.lines() if line]


def test_the_console_comes_first_and_the_next_command_last() -> None:
    said = lines(sample=True)
    assert said[0] == "Console     http://127.0.0.1:8000/console"
    assert said[1:3] == ["HTTP        http://127.0.0.1:8000", "Write keys  sandbox"]
    assert said[-1].startswith("next: make sample    (in a second terminal")


@pytest.mark.parametrize(
    ("sample", "foreign", "environment", "command"),
    [
        (False, False, {}, CURL),
        (True, False, LIVE, "bin/sailpipe doctor"),
        (True, False, {"SAILPIPE_DRY_RUN": "1", **LIVE}, "bin/sailpipe doctor"),
        (True, True, LIVE, "bin/sailpipe status"),
    ],
)
def test_the_next_command_fits_what_is_delivered_to(
    sample: bool, foreign: bool, environment: dict[str, str], command: str
) -> None:
    """Where there is no sample, one event; with an API key, the check of it; with another target's events, why they wait."""
    said = lines(env=environment, sample=sample, foreign=foreign)[-1]
    assert said.removeprefix("next: ").partition("    (")[0] == command


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("shop.lan", "shop.lan")],  # noqa: S104
)
def test_addresses_are_shown_as_a_browser_here_finds_them(host: str, shown: str) -> None:
    assert lines(host)[0] == f"Console     http://{shown}:8000/console"


def test_without_a_write_key_the_block_names_the_setting() -> None:
    assert (
        "Write keys  none: producers over HTTP are answered 401 (set SAILPIPE_WRITE_KEYS)"
        in lines(env=LIVE)
    )
