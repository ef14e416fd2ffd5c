"""What a file of events should leave at Sailthru, found the plainest way: one event after the other.

No queue, no folding, no limits, no memory but what the splitter learns: emails and who an
anonymousId is. A real run may interleave users and fold changes; where it ends must be the same.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import InvalidEvent, MappingRejected, Reason
from pipeline.events.emails import CARRIES_KEY, read_emails
from pipeline.events.kinds import kind_of
from pipeline.events.models import Event, Lane, parse_event
from pipeline.events.routing import route
from pipeline.mapping import plan, read_profile
from pipeline.mapping.plan import Ignored, Need, Plan, PlanContext, Send, WaitForEmail, answered
from pipeline.sailthru.calls import Call
from pipeline.sandbox.sandbox import Sandbox
from pipeline.settings import AccountSettings

START = 1_700_000_000.0


@dataclass
class Tally:
    """What became of the events; every event is in exactly one of these."""

    delivered: int = 0
    duplicates: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    dead: dict[str, str] = field(default_factory=dict)


@dataclass
class Replay:
    """Feed it raw events in order, `finish` it, and look at `tally` and `sandbox`.

    Every event must carry a messageId, as each has once it was taken.
    """

    settings: AccountSettings
    sandbox: Sandbox = field(default_factory=Sandbox)
    tally: Tally = field(default_factory=Tally)
    _now: float = START
    _seen: set[tuple[str, ...]] = field(default_factory=set)
    _emails: dict[str, str] = field(default_factory=dict)
    _strengths: dict[str, int] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _waiting: dict[tuple[str, Lane], deque[Event]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    def feed(self, raw: bytes) -> None:
        """One event arrives. It is handled, or waits behind what its user waits for."""
        body = json.loads(raw)
        message_id = str(body["messageId"])
        key = message_id, str(body.get("type")), str(body.get("event"))
        if key in self._seen:
            self.tally.duplicates += 1
            return
        self._seen.add(key)
        try:
            event = parse_event(raw)
        except InvalidEvent as refusal:
            self.tally.dead[message_id] = refusal.reason
            return
        self._accept(event)

    def finish(self) -> Tally:
        """Nothing more comes: what still waits, waits in vain."""
        for (user, lane), queue in list(self._waiting.items()):
            while queue:
                reason = Reason.UNKNOWN_USER if lane is Lane.EVENT else Reason.MISSING_EMAIL
                self._bury(queue.popleft(), reason)
                self._deliver_all(user, lane)
        return self.tally

    def _accept(self, event: Event) -> None:
        user = self._learn(event)
        way = route(event, self.settings)
        if isinstance(way, Ignored):
            self.tally.ignored[way.reason] += 1
        else:
            self._waiting[user, way].append(event)
        for lane in Lane:
            self._deliver_all(user, lane)

    def _learn(self, event: Event) -> str:
        """Remember what the event tells about its user; returns the user."""
        kind = kind_of(event, self.settings)
        shown, owned, address, strength = read_emails(event, kind)
        named, visitor = self._unshared(event.user_id), self._unshared(event.anonymous_id)
        if named:
            for one in (visitor, owned):
                if one:
                    self._owners[one] = named
        elif visitor and shown and kind in CARRIES_KEY and shown in self._owners:
            self._owners[visitor] = self._owners[shown]
            return self._owners[visitor]
        user = named or self._owners.get(visitor or "") or visitor
        if user is None:
            return self._owners.get(address or "") or address or f"nobody:{event.message_id}"
        if shown and strength <= self._strengths.get(user, strength):
            self._emails[user], self._strengths[user] = shown, strength
        return user

    def _unshared(self, one: str | None) -> str | None:
        return None if one is None or one.casefold() in self.settings.shared_ids else one

    def _deliver_all(self, user: str, lane: Lane) -> None:
        queue = self._waiting[user, lane]
        while queue and self._handle(queue[0], user):
            queue.popleft()

    def _handle(self, event: Event, user: str) -> bool:
        """Make the event's calls. False when it must wait."""
        try:
            step = self._plan(event, user)
        except MappingRejected as refusal:
            self._bury(event, refusal.reason)
            return True
        match step:
            case Ignored():
                self.tally.ignored[step.reason] += 1
                return True
            case Send():
                return self._send(event, step.call)
        return False

    def _plan(self, event: Event, user: str) -> Plan:
        known = PlanContext(
            now=self._now,
            email=self._emails.get(user),
            user_id=self._owners.get(event.anonymous_id or ""),
            accepted_at=self._now,
            first_accepted_at=self._now,
        )
        while isinstance(step := plan([event], known, self.settings), Need):
            status, body = self._call(step.call)
            known = answered(known, step, read_profile(status == 200, body))
        assert isinstance(step, Send | Ignored | WaitForEmail)
        return step

    def _send(self, event: Event, call: Call) -> bool:
        status, body = self._call(call)
        if status == 200:
            self.tally.delivered += 1
        elif "not found" in str(body.get("errormsg")):
            return False
        else:
            self._bury(event, Reason.REJECTED)
        return True

    def _call(self, call: Call) -> tuple[int, Mapping[str, Any]]:
        self._now += 1.0
        reply = self.sandbox.handle(call.method, call.endpoint, call.params, self._now)
        return reply.status, reply.body

    def _bury(self, event: Event, reason: Reason) -> None:
        assert event.message_id is not None
        self.tally.dead[event.message_id] = reason


def replay(raws: Iterable[bytes], settings: AccountSettings) -> Replay:
    """Feed all of `raws` and finish."""
    done = Replay(settings)
    for raw in raws:
        done.feed(raw)
    done.finish()
    return done


def end_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a sandbox holds, without what two equal runs differ in: times, its own ids, order of
    different users.

    state: `SandboxState.as_json()`, or the answer to GET /_sandbox/state.
    """
    names = {order["id"]: order["extid"] for order in state["purchases"]}
    return {
        "profiles": _ordered(_profile(one, names) for one in state["profiles"]),
        "orders": _ordered(_without(order["params"], "date") for order in state["purchases"]),
        "returns": _ordered(one["params"] for one in state["returns"]),
        "events": _ordered(one["params"] for one in state["events"]),
        "pageviews": _ordered(one["params"] for one in state["pageviews"]),
    }


def _profile(profile: Mapping[str, Any], order_names: Mapping[str, str]) -> dict[str, Any]:
    cart = profile["cart"] or {"items": []}
    return {
        "keys": _without(profile["keys"], "sid", "cookie"),
        "vars": profile["vars"],
        "lists": sorted(profile["lists"]),
        "optout_email": profile["optout_email"],
        "cart": cart["items"],
        "reminder": profile["reminder"] and _without(profile["reminder"], "set_at"),
        "orders": [order_names[one] for one in profile["purchases"]],
    }


def _without(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _ordered(values: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return sorted((dict(one) for one in values), key=lambda one: json.dumps(one, sort_keys=True))
