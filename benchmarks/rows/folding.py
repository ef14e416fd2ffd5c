"""What folding saves at the real limits: many cart changes or identifies of one user become few calls.

Segment's way is bound by the limits alone, so a part of the users is measured and its time multiplied; what the two
arrive at is compared for exactly these users, and ours for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks import events as made
from benchmarks.events import Event
from benchmarks.figures import Bench, Check, Figures, Row, at_least, at_most
from benchmarks.rows.delivery import run_program
from benchmarks.usage import span_s
from benchmarks.world import StandIn, open_world

_SEGMENT = "benchmarks.others.segments_way"
_CHANGES = 20
_EACH = 10


def carts_ours(bench: Bench) -> Figures:
    """All changes at once into the default `up`."""
    events = made.cart_storm(bench.size("users", 1_000), _CHANGES)
    with open_world(keep=["profiles"], redis_server=False) as world:
        world.up()
        world.add(made.identifies(1, "warm"))
        world.wait_delivered(1, "`up` works", 60)
        world.stand_in.forget()
        world.add(events)
        world.wait_delivered(len(events), "all carts are delivered")
        return _figures(world.stand_in, _wrong_carts(world.stand_in, events))


def carts_segment(bench: Bench) -> Figures:
    """A tenth of the users."""
    users = bench.size("users", 1_000)
    return _segment(made.cart_storm(users, _CHANGES), users, 10, _wrong_carts)


def identifies_ours(bench: Bench) -> Figures:
    """All wait in their mailboxes; then a worker of their lane comes."""
    events = made.identify_burst(bench.size("users", 2_000), _EACH)
    with open_world(keep=["profiles"]) as world:
        world.start_splitter()
        world.add(events)
        world.wait_split()
        world.start("worker")
        world.wait_delivered(len(events), "all profiles are delivered")
        return _figures(world.stand_in, _wrong_profiles(world.stand_in, events))


def identifies_segment(bench: Bench) -> Figures:
    """A fifth of the users."""
    users = bench.size("users", 2_000)
    return _segment(made.identify_burst(users, _EACH), users, 5, _wrong_profiles)


def _figures(stand_in: StandIn, wrong: int) -> Figures:
    times = stand_in.times()
    return {"seconds": span_s(times), "calls": _calls(times), "wrong": wrong}


def _segment(
    events: Sequence[Event],
    users: int,
    share: int,
    wrong: Callable[[StandIn, Sequence[Event]], int],
) -> Figures:
    """One in `share` of the users, reckoned up to all of them: only the limits bind this way."""
    some = _of_some(events, users // share)
    with open_world(keep=["profiles"], redis_server=False) as world:
        seconds = run_program(world, _SEGMENT, some)
        calls = _calls(world.stand_in.times()) * share
        bad = wrong(world.stand_in, some)
    return {"seconds": seconds * users / (users // share), "calls": calls, "wrong": bad}


def _calls(times: Mapping[str, Sequence[int]]) -> int:
    return sum(map(len, times.values()))


def _of_some(events: Sequence[Event], users: int) -> list[Event]:
    """The events of the first so many users."""
    some = list(dict.fromkeys(event["userId"] for event in events))[:users]
    wanted = set(some)
    return [event for event in events if event["userId"] in wanted]


def _by_user(events: Sequence[Event]) -> Mapping[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event["userId"], []).append(event)
    return found


def _wrong_carts(stand_in: StandIn, events: Sequence[Event]) -> int:
    """Users whose cart at the server is not what their changes come to."""
    carts = stand_in.profiles()["carts"]

    def held(user: str) -> dict[str, int]:
        items: list[dict[str, Any]] = carts.get(f"{user}@example.com", [])
        return {item["id"]: item["qty"] for item in items}

    return sum(held(user) != made.cart_after(changes) for user, changes in _by_user(events).items())


def _wrong_profiles(stand_in: StandIn, events: Sequence[Event]) -> int:
    """Users whose vars at the server are not what their identifies come to."""
    found = stand_in.profiles()["vars"]

    def wanted(own: Sequence[Event]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for event in own:
            merged |= event["traits"]
        return {name: value for name, value in merged.items() if name != "email"}

    return sum(found.get(user) != wanted(own) for user, own in _by_user(events).items())


CARTS = Row(
    "cart-storm",
    "20,000 cart changes by 1,000 users at the real limits",
    {"ours": carts_ours, "segment": carts_segment},
    (
        Check(
            "two calls a change / ours, time to the last cart",
            "segment.seconds",
            "ours.seconds",
            at_least(10),
        ),
        Check("carts that are wrong at the end, ours", "ours.wrong", goal=at_most(0), unit=""),
        Check("carts that are wrong at the end, two calls a change", "segment.wrong", unit=""),
        Check("calls, ours", "ours.calls", unit=""),
        Check("seconds, ours", "ours.seconds", unit="s"),
    ),
    rounds=1,
)
IDENTIFIES = Row(
    "identify-burst",
    "20,000 identifies by 2,000 users, waiting, at the real limits",
    {"ours": identifies_ours, "segment": identifies_segment},
    (
        Check(
            "one call each / ours, time to the last profile",
            "segment.seconds",
            "ours.seconds",
            at_least(5),
        ),
        Check("profiles that are wrong at the end, ours", "ours.wrong", goal=at_most(0), unit=""),
        Check("profiles that are wrong at the end, one call each", "segment.wrong", unit=""),
        Check("calls, ours", "ours.calls", unit=""),
        Check("seconds, ours", "ours.seconds", unit="s"),
    ),
    rounds=1,
)
