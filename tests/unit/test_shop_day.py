"""The sample: it is what its generator writes, it is the day it claims to be, and what it expects
is what a plain sequential replay finds on its own."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from examples.make_shop_day import write_files
from pipeline.accept import message_id_for_line, prepare_line
from pipeline.settings import AccountSettings, load_settings
from tests.support.replay import Replay, end_state, replay

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = EXAMPLES / "shop-day.jsonl"


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "shop-day.expected.json").read_text())
    return found


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> AccountSettings:
    return load_settings({}, directory=tmp_path_factory.mktemp("none")).account("default")


@pytest.fixture(scope="module")
def raws() -> list[bytes]:
    """The lines as `sailpipe enqueue` appends them."""
    content = SAMPLE.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    lines = content.splitlines()
    return [prepare_line(line, message_id_for_line(digest, n)) for n, line in enumerate(lines, 1)]


@pytest.fixture(scope="module")
def done(raws: list[bytes], account: AccountSettings) -> Replay:
    return replay(raws, account)


def test_the_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    """Same seed, same bytes: the sample is changed in its story, never by hand."""
    write_files(tmp_path)
    for name in ("shop-day.jsonl", "shop-day.expected.json"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name


def test_every_event_is_accounted_for(expected: dict[str, Any], raws: list[bytes]) -> None:
    """enqueued = delivered + dead + ignored + duplicates, nothing waiting at the end."""
    counts = [expected["delivered"], expected["duplicates"], len(expected["dead"])]
    assert sum(counts) + sum(expected["ignored"].values()) == expected["enqueued"] == len(raws)


def test_the_sample_is_the_day_it_claims_to_be(expected: dict[str, Any], raws: list[bytes]) -> None:
    """Hundreds of people, every way an event can go wrong by itself, only example.com emails."""
    events = [json.loads(raw) for raw in raws]
    assert len({str(event.get("userId")) for event in events}) > 250
    assert set(expected["dead"].values()) == {
        "invalid_event",
        "missing_email",
        "missing_user_id",
        "nothing_to_remove",
        "reserved_event",
        "too_large",
        "unknown_user",
        "unmappable",
    }
    content = SAMPLE.read_text()
    assert content.count("@") == content.count("@example.com")
    assert any(event.get("userId") == "guest" for event in events)


def test_the_expected_dead_letters_are_those_of_a_sequential_replay(
    expected: dict[str, Any], done: Replay
) -> None:
    """The story and the mapping agree about every single event."""
    tally = done.tally
    assert tally.dead == expected["dead"]
    assert tally.ignored == Counter(expected["ignored"])
    assert (tally.delivered, tally.duplicates) == (expected["delivered"], expected["duplicates"])


def test_the_replay_leaves_what_the_day_was_about(done: Replay) -> None:
    """Profiles, carts, orders and returns are all there to be compared with a real run."""
    state = end_state(done.sandbox.state.as_json())
    extids = [order["purchase_keys"]["extid"] for order in state["orders"]]
    assert len(extids) == len(set(extids)) > 100
    assert sum(bool(profile["cart"]) for profile in state["profiles"]) > 50
    assert any(profile["reminder"] for profile in state["profiles"])
    assert state["returns"]
    assert all(profile["keys"].get("extid") != "guest" for profile in state["profiles"])


def test_the_order_of_different_users_does_not_change_the_end(
    raws: list[bytes], account: AccountSettings, done: Replay
) -> None:
    """A real run interleaves users as it likes; only each user's own order counts."""
    one_by_one = replay(sorted(raws, key=person_of(raws)), account)
    state = one_by_one.sandbox.state.as_json()
    assert end_state(state) == end_state(done.sandbox.state.as_json())
    assert one_by_one.tally == done.tally


def person_of(raws: list[bytes]) -> Callable[[bytes], str]:
    """Tells whose event a line is, whichever of their ids it shows."""
    events = [json.loads(raw) for raw in raws]
    users = {one.get("anonymousId", one.get("previousId")): one.get("userId") for one in events}

    def person(raw: bytes) -> str:
        event = json.loads(raw)
        anonymous = event.get("anonymousId")
        traits = event.get("traits") or event.get("properties")
        email = traits.get("email") if isinstance(traits, dict) else None
        return str(event.get("userId") or users.get(anonymous) or anonymous or email)

    return person


def test_replay_sees_a_lost_cart_change(
    raws: list[bytes], account: AccountSettings, done: Replay
) -> None:
    """The comparison can fail: without one delivered cart change the end is another."""
    full = end_state(done.sandbox.state.as_json())
    user = next(one["keys"]["extid"] for one in full["profiles"] if one["cart"])
    added = [raw for raw in raws if b"Product Added" in raw and user.encode() in raw]
    less = replay([raw for raw in raws if raw != added[-1]], account)
    assert end_state(less.sandbox.state.as_json()) != full
