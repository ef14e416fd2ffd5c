"""A row: what is met in which state, the outcome, and what is written because of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pipeline.delivery.classify import NoAnswer, Request, decide
from pipeline.delivery.context import TurnState
from pipeline.delivery.intents import NOTHING_PENDING, IntentLog, PendingCart, PendingOrder
from pipeline.delivery.settlements import Settling, settlement_for
from pipeline.delivery.waiting import must_wait, waits_for_merge
from pipeline.events.models import Event, Lane, validate_event
from pipeline.gates.circuit import Health
from pipeline.mailbox.claim import Claim, Entry, Memory, Settlement, UserBacklog
from pipeline.mailbox.history import Absence, EventState, Failing
from pipeline.mapping.plan import Need, Send
from pipeline.outcomes import Outcome, Throttled, Verdict
from pipeline.sailthru.answers import Accepted, Answer, Failed
from pipeline.settings import AccountSettings

GOES_ON = "nothing"
"""The verdict of a wait that is not there."""
NOW = 1_700_000_000.0
NOW_MS = int(NOW * 1000)
HOUR_S = 3600.0
EARLIEST = json.dumps({"seq": "1-0"})
"""Of an identify that was accepted before everything else."""


class Midway:
    """Jitter that always falls in the middle."""

    def random(self) -> float:
        return 0.5


@dataclass(frozen=True, slots=True)
class Row:
    """`says`: when. `met`: an answer to `request`, or what there was instead of one; None before anything was
    tried; what waits for the user that an event merges away.

    outcome: the verdict's name, with what sets it apart. settled: what is written, as `written` says it; empty
    when the turn goes on.
    """

    says: str
    met: Answer | NoAnswer | UserBacklog | None
    outcome: str
    settled: str = ""
    request: Request | None = None
    state: TurnState = field(default_factory=lambda: state_of(track()))
    health: Health = field(default_factory=lambda: Health("api"))
    settings: Mapping[str, Any] = field(default_factory=dict)

    def decide(self) -> Verdict | None:
        """The verdict; None when there is nothing to wait for."""
        settings, state, met = AccountSettings(**self.settings), self.state, self.met
        if isinstance(met, UserBacklog):
            return waits_for_merge(state, met, NOW_MS, settings)
        if met is None:
            assert state.event is not None
            return must_wait(state, state.event, settings)
        if not isinstance(met, Accepted | Failed):
            return decide(met, None, state, None, settings, NOW)
        match self.request:
            case Send():
                return decide(met, self.request, state, self.health, settings, NOW)
            case Need():
                return decide(met, self.request, state, self.health, settings, NOW)
            case PendingOrder():
                return decide(met, self.request, state, self.health, settings, NOW)
            case None:
                raise AssertionError(self.says)

    def settle(self, outcome: Outcome) -> Settlement:
        settling = Settling(AccountSettings(**self.settings), NOW_MS, Midway())
        return settlement_for(outcome, self.state, settling)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows about one thing."""

    title: str
    intro: str
    rows: Sequence[Row]


def track(name: str = "Signed Up", **more: Any) -> Event:
    return validate_event({"type": "track", "event": name, "userId": "u1", **more})


def identify(**more: Any) -> Event:
    return validate_event({"type": "identify", "userId": "u1", **more})


def order() -> Event:
    return track("Order Completed")


def added() -> Event:
    return track("Product Added")


def ago(seconds: float) -> int:
    """Milliseconds of the lane's clock so long before now."""
    return NOW_MS - int(seconds * 1000)


def state_of(
    event: Event,
    lane: Lane = Lane.EVENT,
    *,
    count: int = 1,
    history: EventState | None = None,
    age_s: float = 0.0,
    intents: IntentLog = NOTHING_PENDING,
    memory: Memory | None = None,
    probe: bool = False,
    head_of_user: str = "",
    absence: Absence | None = None,
    failing: Failing | None = None,
    looked_up: bool = False,
    email: str | None = None,
) -> TurnState:
    """`count` events at the head of a claim, accepted `age_s` ago; what happened to the first so far."""
    at = ago(age_s)
    entries = tuple(Entry(f"m{n}", f"{at}-{n}", at, at, b"{}") for n in range(count))
    history = history or EventState()
    claim = Claim(
        account="default",
        lane=lane,
        user="u1",
        token="1-1",
        now=NOW_MS,
        clock=NOW_MS,
        head_of_user=head_of_user,
        entries=entries,
        states={entries[0].seq: history},
        memory=memory or Memory(),
        cart="",
        intent=intents.encode(),
        strikes=0,
        probe=probe,
        absence=absence,
        failing=failing,
    )
    return TurnState(claim, entries[0], history, intents, event, count, looked_up, email)


def verdict_text(verdict: Verdict | None) -> str:
    """The verdict's name, with its reason, covers or wait."""
    if verdict is None:
        return GOES_ON
    shown = [
        str(value)
        for name in ("reason", "covers", "wait_s", "due_in_s", "why", "bucket", "scope")
        if (value := getattr(verdict, name, None)) not in (None, "")
        and (name, value) != ("covers", 1)
    ]
    if isinstance(verdict, Throttled):
        shown.append(f"for {verdict.until - NOW:g} s")
    name = type(verdict).__name__
    return f"{name}({', '.join(shown)})" if shown else name


def written(settlement: Settlement, state: TurnState) -> str:
    """What a settlement writes, in a few words."""
    return "; ".join(_written(settlement, state))


def _written(settlement: Settlement, state: TurnState) -> Iterator[str]:
    if settlement.pop:
        yield f"{settlement.pop} leaves" if settlement.pop == 1 else f"{settlement.pop} leave"
    if settlement.count:
        yield ", ".join(f"counted `{name}` {n}" for name, n in settlement.count.items())
    for _, _, header in settlement.dead:
        yield _letter(json.loads(header))
    for seq, after in settlement.state.items():
        yield from _history(state.claim.states.get(seq, EventState()), after)
    if settlement.absence is not None:
        yield f"nothing there as of {_when(settlement.absence.at)}"
    if settlement.failing != state.claim.failing:
        yield _failing(settlement.failing)
    yield from _intent(settlement, state)
    if settlement.learn:
        yield f"learns {', '.join(_learned(*one) for one in sorted(settlement.learn.items()))}"
    if settlement.cart is not None:
        yield _cart(settlement.cart, settlement.cart_keep_ms)
    if settlement.wake:
        assert {*settlement.wake, settlement.claim.lane} == set(Lane)
        yield "wakes the other lanes"
    if settlement.waits:
        yield f"woken by {settlement.waits}"
    if settlement.lift:
        yield "lifts that profile's events"
    yield _end(settlement)


def _failing(failing: Failing | None) -> str:
    return f"{failing.bucket} fails since {_when(failing.since)}" if failing else "fails no more"


def _learned(name: str, value: str) -> str:
    return f"merged ({' '.join(json.loads(value))})" if name == "merged" else name


def _cart(text: str, keep_ms: int) -> str:
    cart = json.loads(text)
    shown = f"cart of {len(cart['items'])} known for {keep_ms // 3_600_000} h"
    return shown if cart["at"] == NOW else f"{shown}, as of {cart['at'] - NOW:g} s from now"


def _letter(header: Mapping[str, Any]) -> str:
    parts = [f"letter `{header['reason']}` after {header['attempts']} attempts"]
    if "pending_intent" in header:
        parts.append("with the order's intent")
    if "awaits_email" in header:
        parts.append("replayed when its email is learned")
    return ", ".join(parts)


def _history(before: EventState, after: EventState) -> Iterator[str]:
    for one in fields(EventState):
        old, new = getattr(before, one.name), getattr(after, one.name)
        if old != new and one.name != "attempts":
            yield f"{one.name.replace('_', ' ')} {new if one.name == 'tried' else _when(new)}"


def _when(clock: int) -> str:
    return "now" if clock == NOW_MS else f"{(NOW_MS - clock) / 1000:g} s ago"


def _intent(settlement: Settlement, state: TurnState) -> Iterator[str]:
    before = state.intents.pending
    if before is None or settlement.intent is None:
        return
    match IntentLog.read(settlement.intent).pending:
        case None:
            yield "intent forgotten"
        case PendingOrder(misses=misses) if misses:
            yield f"intent kept, {misses} missed"
        case PendingOrder() | PendingCart():
            yield "intent kept"


def _end(settlement: Settlement) -> str:
    if not settlement.back:
        return "claim goes on"
    if settlement.due is None:
        return "claim ends"
    if settlement.due == "old":
        return "given back, due as before"
    return f"given back, due in {(settlement.due - NOW_MS) / 1000:g} s"
