"""What a fault did: everything counted, and compared with one event after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import Any

from pipeline.settings import AccountSettings
from tests.faults.support.sandbox import Effect, Origin, RecordingSandbox
from tests.support.replay import Replay, end_state

_NO_STEPS: list[str] = []


@dataclass(slots=True)
class Counts:
    """An account's counters, as `status --json` names them."""

    delivered: int = 0
    dead: int = 0
    ignored: int = 0
    duplicates: int = 0
    removed: int = 0
    waiting: int = 0
    derived: int = 0

    @property
    def total(self) -> int:
        """Events accepted: each, and each entry derived from one, is in exactly one of the counters."""
        return (
            self.delivered
            + self.dead
            + self.ignored
            + self.duplicates
            + self.removed
            + self.waiting
            - self.derived
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the report. `recovery_s` is None where nothing had to recover; `remark` is for a
    measurement that has no column."""

    fault: str
    events: int
    counts: Counts
    lost: int
    doubled_orders: int
    out_of_order: int
    repeated: int
    recovery_s: float | None = None
    remark: str = ""


@dataclass(slots=True)
class Expected:
    """What a sequential replay leaves: counts, traces and the end at Sailthru."""

    dead: dict[str, str]
    delivered: int
    ignored: int
    duplicates: int
    origins: set[Origin] = field(default_factory=set)
    carts: dict[str, list[str]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)


def expected_of(raws: Sequence[bytes], settings: AccountSettings) -> Expected:
    """Replay the events one by one."""
    sandbox = RecordingSandbox()
    plain = Replay(settings, sandbox)
    for raw in raws:
        plain.feed(raw)
    tally = plain.finish()
    return Expected(
        dead=tally.dead,
        delivered=tally.delivered,
        ignored=sum(tally.ignored.values()),
        duplicates=tally.duplicates,
        origins=needed_origins(sandbox.effects),
        carts=cart_steps(sandbox.effects),
        end=settled_end(sandbox),
    )


def settled_end(sandbox: RecordingSandbox) -> dict[str, Any]:
    """The end that must be equal: profiles, carts and orders. What may repeat is compared as sets."""
    end = end_state(sandbox.state.as_json())
    return {name: end[name] for name in ("profiles", "orders", "returns")}


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """What is in one end and not in the other."""
    wrong: list[str] = []
    for name, values in wanted.items():
        wrong += [f"should not be: {name} {one}" for one in found[name] if one not in values]
        wrong += [f"is missing: {name} {one}" for one in values if one not in found[name]]
    return wrong


def needed_origins(effects: Iterable[Effect]) -> set[Origin]:
    """Traces that must be there: of identifies, which fold, only each user's last."""
    origins = {origin for one in effects if (origin := one.origin)}
    last: dict[str, int] = defaultdict(int)
    for origin in origins:
        if origin.kind == "/user":
            last[origin.who] = max(last[origin.who], origin.seq)
    return {
        origin for origin in origins if origin.kind != "/user" or origin.seq == last[origin.who]
    }


def doubled_orders(effects: Iterable[Effect]) -> int:
    """Orders that were posted more than once."""
    return sum(count - 1 for count in _counted(effects, "order").values())


def repeated(effects: Iterable[Effect]) -> int:
    """Calls that were made again although one had taken effect. Orders are counted by themselves; a
    cart that is posted again is the same cart."""
    effects = list(effects)
    kinds = ("/event", "page", "/user")
    return sum(count - 1 for kind in kinds for count in _counted(effects, kind).values())


def out_of_order(effects: Iterable[Effect], *, may_repeat: bool) -> list[str]:
    """What took effect after a later event of its user and lane: each with what came before it.

    may_repeat: identifies that were sent as one and died with their owner are sent again, singly
    after two deaths (docs/guarantees.md, repeats in order); of them only the last must be last.
    """
    last: dict[tuple[str, str], Origin] = {}
    behind: dict[tuple[str, str], str] = {}
    wrong: list[str] = []
    for one in effects:
        if (origin := one.origin) is None:
            continue
        key = (origin.kind, origin.who)
        before = last.setdefault(key, origin)
        if origin.seq >= before.seq:
            last[key] = origin
            behind.pop(key, None)
        elif may_repeat and origin.kind == "/user":
            behind[key] = f"{origin} is the last, after {before.seq}"
        else:
            wrong.append(f"{origin} after {before.seq} at {one.at:.3f}")
    return [*wrong, *behind.values()]


def cart_steps(effects: Iterable[Effect]) -> dict[str, list[str]]:
    """By email: what its cart became, one call after the other, and which orders emptied it."""
    steps: dict[str, list[str]] = defaultdict(list)
    for one in effects:
        if (one.method, one.endpoint) == ("POST", "/purchase"):
            items = sorted(one.params["items"], key=lambda item: str(item["id"]))
            steps[one.params["email"]].append(str(one.origin or items))
    return steps


def unplanned_carts(
    found: Mapping[str, list[str]], wanted: Mapping[str, list[str]], *, may_repeat: bool
) -> list[str]:
    """Steps that one event after the other would not have taken, or not there.

    Changes may be folded, which leaves steps out, and a call may be made again before the next one.
    may_repeat: as in `out_of_order`; but nothing goes back behind an order.
    """
    wrong = {
        email: _unplanned(steps, wanted.get(email, []), may_repeat=may_repeat)
        for email, steps in found.items()
    }
    return [f"{email!r}: {step}" for email, step in wrong.items() if step]


def _unplanned(steps: list[str], planned: list[str], *, may_repeat: bool) -> str | None:
    parts = zip_longest(_up_to_orders(steps), _up_to_orders(planned), fillvalue=_NO_STEPS)
    for ours, theirs in parts:
        next_one = furthest = 0
        for step, _ in groupby(ours):
            if step in theirs[next_one:]:
                next_one = theirs.index(step, next_one) + 1
            elif may_repeat and step in theirs:
                next_one = theirs.index(step) + 1
            else:
                return step
            furthest = max(furthest, next_one)
        if next_one < furthest:
            return "it ends before where it was"
    return None


def _up_to_orders(steps: Iterable[str]) -> list[list[str]]:
    """The steps in parts that end with an order each, but for the last."""
    parts: list[list[str]] = [[]]
    for step in steps:
        parts[-1].append(step)
        if step.startswith(Origin.__name__):
            parts.append([])
    return parts


def _counted(effects: Iterable[Effect], kind: str) -> Counter[Origin]:
    return Counter(origin for one in effects if (origin := one.origin) and origin.kind == kind)
