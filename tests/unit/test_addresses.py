"""Commands in one folder find what `up` runs there, and never the real Sailthru by accident."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.addresses import (
    REDIS_FILE,
    SANDBOX_FILE,
    needs_sandbox,
    resolve_redis_url,
    with_addresses,
    withdraw_address,
    write_address,
)
from pipeline.errors import ConfigError
from pipeline.settings import Settings, load_settings

SANDBOX = "http://127.0.0.1:8100"


def settings(folder: Path, **values: str) -> Settings:
    values.setdefault("DATA_DIR", str(folder))
    return load_settings({f"SAILPIPE_{name}": value for name, value in values.items()})


def test_what_is_set_wins_over_what_up_left(tmp_path: Path) -> None:
    """REDIS_URL, else DATA_DIR/redis.url."""
    write_address(tmp_path, REDIS_FILE, "redis://127.0.0.1:7000/0")
    assert resolve_redis_url(settings(tmp_path)) == "redis://127.0.0.1:7000/0"
    set_here = settings(tmp_path, REDIS_URL="redis://elsewhere/1")
    assert resolve_redis_url(set_here) == "redis://elsewhere/1"


def test_without_either_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    """The sentence names the setting, instead of a connection error to port 6379."""
    with pytest.raises(ConfigError, match=r"start `sailpipe up`.*SAILPIPE_REDIS_URL"):
        resolve_redis_url(settings(tmp_path))


def test_without_an_api_key_calls_go_to_the_sandbox_of_up(tmp_path: Path) -> None:
    """A worker of another terminal must deliver where `up` does."""
    write_address(tmp_path, REDIS_FILE, "redis://127.0.0.1:7000/0")
    write_address(tmp_path, SANDBOX_FILE, SANDBOX)
    account = with_addresses(settings(tmp_path)).account("default")
    assert (account.api_url, account.pageview_url) == (SANDBOX, SANDBOX)


def test_a_sandbox_that_was_named_is_kept(tmp_path: Path) -> None:
    """In containers the sandbox is another service, and there is no DATA_DIR to look in."""
    named = settings(
        tmp_path, REDIS_URL="redis://r", API_URL="http://box:1", PAGEVIEW_URL="http://box:2"
    )
    account = with_addresses(named).account("default")
    assert (account.api_url, account.pageview_url) == ("http://box:1", "http://box:2")
    assert not needs_sandbox(named)


@pytest.mark.parametrize("named", [{}, {"API_URL": SANDBOX}])
def test_without_an_api_key_nothing_ever_points_at_the_real_sailthru(
    tmp_path: Path, named: dict[str, str]
) -> None:
    """The sandbox's key would be refused there; worse, a pageview would be taken."""
    unnamed = settings(tmp_path, REDIS_URL="redis://r", **named)
    assert needs_sandbox(unnamed)
    with pytest.raises(ConfigError, match="no sandbox is running"):
        with_addresses(unnamed)


def test_with_an_api_key_the_real_sailthru_is_called(tmp_path: Path) -> None:
    """An `up` with a sandbox may run in the same folder."""
    write_address(tmp_path, SANDBOX_FILE, SANDBOX)
    live = settings(tmp_path, REDIS_URL="redis://r", API_KEY="k", API_SECRET="s")
    assert with_addresses(live).account("default").api_url == "https://api.sailthru.com"


def test_an_address_that_was_withdrawn_is_not_found(tmp_path: Path) -> None:
    """After `up` has stopped, a command must say so rather than knock at a closed port."""
    write_address(tmp_path, REDIS_FILE, "redis://127.0.0.1:7000/0")
    withdraw_address(tmp_path, REDIS_FILE)
    withdraw_address(tmp_path, REDIS_FILE)
    with pytest.raises(ConfigError):
        resolve_redis_url(settings(tmp_path))


def test_an_address_file_that_holds_nonsense_is_named(tmp_path: Path) -> None:
    """An editor may have changed it, or a full disk cut it short."""
    write_address(tmp_path, REDIS_FILE, "nonsense")
    with pytest.raises(ConfigError, match=r"redis\.url"):
        resolve_redis_url(settings(tmp_path))
