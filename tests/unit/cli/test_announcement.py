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
    events: bool = False,
    directory: Path = Path("/nonexistent"),
) -> list[str]:
    settings = load_settings(env, directory=directory)
    started = Started(settings, Path("/data"), host, 8000, "bin/sailpipe", sample, events, foreign)
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


def test_a_later_start_leads_to_what_became_of_the_events() -> None:
    """The sample would be refused by now, and the sandbox has forgotten everybody."""
    said = lines(sample=True, events=True)
    assert said[-1].startswith("next: bin/sailpipe status    (in a second terminal")
    assert any("The sandbox starts empty" in line for line in said)
    assert not any("starts empty" in line for line in lines(sample=True))
    live = lines(sample=True, events=True, env=LIVE)
    assert live[-1].startswith("next: bin/sailpipe doctor")
    assert not any("starts empty" in line for line in live)


def test_the_write_keys_of_all_accounts_are_shown(tmp_path: Path) -> None:
    """With the account's name; of a live account only how many there are."""
    keys = '[accounts.shoes]\nwrite_keys = ["shoes-web", "shoes-app"]\n'
    (tmp_path / "sailpipe.toml").write_text(keys)
    said = lines(directory=tmp_path)
    assert said[2:4] == ["Write keys  sandbox", "            shoes-web, shoes-app (account shoes)"]
    (tmp_path / "sailpipe.toml").write_text(keys + 'api_key = "shoes-key"\napi_secret = "s"\n')
    assert "            2 set (account shoes)" in lines(env=LIVE, directory=tmp_path)


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
