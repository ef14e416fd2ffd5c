"""What counts as one target, how it is kept and how it is shown."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pipeline.settings import AccountSettings
from pipeline.targets import Owner, Target, target_of, ways_on, why_not

KEY = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d"
LIVE = {"api_key": KEY, "api_secret": SecretStr("secret")}


def target(**settings: Any) -> Target:
    return target_of(AccountSettings(**settings))


def test_different_targets_have_different_names() -> None:
    """Host and key make the difference, and whether anything is called at all."""
    elsewhere = {"api_url": "https://sailthru.example.com"}
    settings: list[dict[str, Any]] = [
        {},
        {"dry_run": True},
        LIVE,
        LIVE | elsewhere,
        LIVE | {"api_key": KEY[::-1]},
        LIVE | {"api_url": "http://127.0.0.1:8100"},
        LIVE | {"api_url": "http://127.0.0.1:8101"},
    ]
    for one, other in itertools.combinations(settings, 2):
        assert target(**one) != target(**other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"api_url": "http://127.0.0.1:8100"}),
        ({}, {"api_key": "sandbox-shoes", "api_secret": SecretStr("s")}),
        ({"dry_run": True}, LIVE | {"dry_run": True}),
        (LIVE, LIVE | {"api_url": "https://API.sailthru.com:443"}),
        (LIVE, LIVE | {"api_secret": SecretStr("rotated"), "customer_id": "c"}),
        (LIVE, LIVE | {"pageview_url": "https://track.example.com"}),
    ],
)
def test_what_makes_no_difference_is_the_same_target(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """A sandbox has another port each time, and a secret is changed without changing the account."""
    assert target(**one) == target(**other)


def test_an_api_key_that_is_listed_beside_the_first_is_the_same_target() -> None:
    """The account is the same while its key is changed, whichever of both processes and letters know it by."""
    old, new = KEY, KEY[::-1]
    both: dict[str, Any] = {"api_key": f"{new}, {old}", "api_secret": SecretStr("s1,s2")}
    own = target(**both)
    assert own.names == (target(**LIVE | {"api_key": new}).name, target(**LIVE).name)
    assert Owner(target(**LIVE)).lets(own)
    assert Owner(own).lets(target(**LIVE | {"api_key": new}))
    assert not Owner(own).lets(target(**LIVE))
    same_key = target(api_key=KEY, api_secret=SecretStr("s1,s2"))
    assert same_key == target(**LIVE)


def test_neither_the_key_nor_a_login_in_the_url_is_kept_or_shown() -> None:
    """People know a key by how it begins; Redis keeps no more of it than that and a hash."""
    live = target(**LIVE, api_url="https://me:password@sailthru.example.com/api")
    for text in (live.name, str(live), Owner(live).text):
        assert KEY not in text
        assert "password" not in text
    assert str(live) == "sailthru.example.com (API key 1a2b...)"
    assert "topsecret" not in str(target(api_key="topsecret", api_secret=SecretStr("s")))


@given(
    st.sampled_from(
        [
            None,
            target(),
            target(dry_run=True),
            target(**LIVE),
            target(api_key="k", api_secret=SecretStr("s"), api_url="http://reset/"),
        ]
    ),
    st.sampled_from([None, "adopt", "reset"]),
)
def test_an_owner_is_read_as_it_was_kept(owned: Target | None, unfinished: Any) -> None:
    """Nothing that a host or key is called makes it look like a command at work."""
    owner = Owner(owned, unfinished)
    assert Owner.read(owner.text) == owner


def test_an_account_lets_its_own_target_deliver() -> None:
    """Without an owner any may, and while a command works on it none."""
    sandbox, live = target(), target(**LIVE)
    assert Owner(None).lets(live)
    assert Owner(live).lets(live)
    assert not Owner(sandbox).lets(live)
    assert not Owner(live, "adopt").lets(live)
    assert not Owner(None, "reset").lets(live)


def test_a_person_reads_whose_it_is_and_what_to_do() -> None:
    """The commands name the account unless it is the default one."""
    owner = Owner(target())
    assert why_not("shoes", owner, target(**LIVE)) == (
        "account shoes belongs to the sandbox, and these settings deliver to api.sailthru.com"
        " (API key 1a2b...)"
    )
    assert "`sailpipe adopt --account shoes`" in ways_on("shoes", owner)
    assert "`sailpipe reset`" in ways_on("default", owner)
    half = Owner(target(), "adopt")
    assert why_not("default", half, target(**LIVE)).startswith(
        "`sailpipe adopt` of account default"
    )
    assert ways_on("default", half) == "wait for it, or run `sailpipe adopt` again"
