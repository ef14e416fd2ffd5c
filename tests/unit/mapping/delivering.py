"""The smallest thing that does what plans say, against the sandbox: a judge for folding.

It stands for delivery, without queues: look-ups are made and answered, a refused fold is tried
singly, what a call leaves behind is remembered. It can be killed between a call and its settling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.errors import MappingRejected
from pipeline.events.models import Event
from pipeline.mapping import plan, read_profile
from pipeline.mapping.plan import Cart, CartIntent, Need, Plan, PlanContext, Send, answered
from pipeline.sailthru.calls import Call
from pipeline.sandbox.sandbox import Sandbox
from pipeline.settings import AccountSettings

READ_LAG_S = 3.0
CALL_S = 0.3
"""How long a call takes: reads that lag by a second then show the state of three calls ago."""
POISON = "poison"
"""Sailthru refuses calls in which this var or item occurs."""


@dataclass
class Delivery:
    """Delivers one user's events to a sandbox; `fold` as many as a plan covers, or one by one.

    killed: whether the owner dies after this call of /purchase or /user, before it settles.
    """

    sandbox: Sandbox
    settings: AccountSettings
    fold: bool
    email: str | None = None
    killed: Callable[[], bool] = lambda: False
    now: float = 1_700_000_000.0
    posts: int = 0
    refused: list[str] = field(default_factory=list)
    _merged: frozenset[str] = frozenset()
    _cart: Cart | None = None

    def deliver(self, events: Sequence[Event]) -> None:
        """Until nothing is left."""
        rest = list(events)
        singles = 0
        while rest:
            offered = rest if self.fold and not singles else rest[:1]
            covers, accepted = self._take(offered)
            if not accepted and covers > 1:
                singles = covers
                continue
            if not accepted:
                self.refused.append(rest[0].message_id or "")
            del rest[:covers]
            singles = max(0, singles - 1)

    def _take(self, events: Sequence[Event]) -> tuple[int, bool]:
        """Settle the first events: how many, and whether they were delivered."""
        context = PlanContext(self.now, self.email, self._own_cart(), merged=self._merged)
        written_at = self._cart.at if self._cart else None
        context = replace(context, cart_written_at=written_at)
        try:
            step, context = self._look_up(events, context)
        except MappingRejected:
            return 1, False
        if not isinstance(step, Send):
            return step.covers, True
        if not self._post(step.call):
            return step.covers, False
        if self.killed():
            return self._again(events[: step.covers], step, context)
        self._settle(step)
        return step.covers, True

    def _again(self, events: Sequence[Event], step: Send, context: PlanContext) -> tuple[int, bool]:
        """The next owner starts from the intent, never from a fresh look-up of the cart."""
        if isinstance(step.intent, CartIntent):
            context = replace(context, cart=Cart(step.intent.base, self.now), now=self.now)
        if step.cart_after is None or isinstance(step.intent, CartIntent):
            repeated = plan(events, context, self.settings)
            assert isinstance(repeated, Send)
            assert self._post(repeated.call)
        self._settle(step)
        return step.covers, True

    def _look_up(self, events: Sequence[Event], context: PlanContext) -> tuple[Plan, PlanContext]:
        step = plan(events, context, self.settings)
        while isinstance(step, Need):
            status, body = self._call(step.call)
            context = answered(context, step, read_profile(status == 200, body))
            step = plan(events, context, self.settings)
        return step, context

    def _settle(self, step: Send) -> None:
        if step.cart_after:
            self._cart = replace(step.cart_after, at=self.now)
        if step.merged:
            self._merged |= {step.merged}

    def _own_cart(self) -> Cart | None:
        """While reads may lag our write."""
        fresh = self._cart and self._cart.at and self.now - self._cart.at <= READ_LAG_S
        return self._cart if fresh else None

    def _post(self, call: Call) -> bool:
        self.posts += 1
        values = call.params.get("vars", {})
        items = call.params.get("items", ())
        if POISON in values or any(item["id"] == POISON for item in items):
            return False
        return self._call(call)[0] == 200

    def _call(self, call: Call) -> tuple[int, dict[str, Any]]:
        self.now += CALL_S
        reply = self.sandbox.handle(call.method, call.endpoint, call.params, self.now)
        return reply.status, reply.body


def end_state(sandbox: Sandbox) -> dict[str, Any]:
    """What differs only if folding changed something: no times, no ids of Sailthru's own."""
    state = sandbox.state.as_json()
    return {
        "profiles": sorted((_profile(one) for one in state["profiles"]), key=repr),
        "purchases": [one["params"] for one in state["purchases"]],
        "returns": [one["params"] for one in state["returns"]],
    }


def _profile(shown: dict[str, Any]) -> dict[str, Any]:
    cart = shown["cart"] or {}
    reminder = shown["reminder"] or {}
    return {
        "keys": {name: key for name, key in sorted(shown["keys"].items()) if name != "sid"},
        "vars": dict(sorted(shown["vars"].items())),
        "lists": sorted(shown["lists"]),
        "optout": shown["optout_email"],
        "cart": cart.get("items"),
        "reminder": (reminder.get("template"), reminder.get("time")),
        "orders": len(shown["purchases"]),
    }
