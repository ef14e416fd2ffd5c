"""What planning and deciding are based on: a claim, its head event, and what the present turn found out."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from pipeline.delivery.intents import NOTHING_PENDING, IntentLog, PendingCart
from pipeline.events.emails import address, email_in_user_id, first_usable
from pipeline.events.models import Event
from pipeline.identity.placement import UNIDENTIFIED
from pipeline.mailbox.claim import Claim, Entry, seq_order
from pipeline.mailbox.history import EventState
from pipeline.mapping.plan import Cart, LastIdentify, PlanContext, Profile
from pipeline.storage.numbers import ADDRESS_REFUSED_MS


@dataclass(frozen=True, slots=True)
class TurnState:
    """What a decision is based on. A claim is settled turn by turn; each begins with a new one of these.

    entry, history: the head of the claim, and what happened to it so far.
    event: the head as it was parsed; None when it was not, or could not be.
    offered: how many events are planned together.
    looked_up: Sailthru was asked for a profile in this turn; email: the one it showed, unless one was known.
    """

    claim: Claim
    entry: Entry
    history: EventState
    intents: IntentLog
    event: Event | None = None
    offered: int = 1
    looked_up: bool = False
    email: str | None = None

    @property
    def refused(self) -> Collection[str]:
        """The addresses of the user that Sailthru refused lately, as `address_key` writes them."""
        claim = self.claim
        at = claim.memory.refused
        return {one for one in at if claim.now - at[one] < ADDRESS_REFUSED_MS} if at else ()

    @property
    def age_s(self) -> float:
        """How long the head has waited since it was accepted, in seconds of the lane's clock."""
        return max(0.0, (self.claim.clock - self.entry.clock) / 1000)

    def since_s(self, clock_ms: int | None) -> float:
        """Seconds of the lane's clock since then; 0 when that has not been."""
        return 0.0 if clock_ms is None else max(0.0, (self.claim.clock - clock_ms) / 1000)

    @property
    def follows_identify(self) -> bool:
        """Whether something of its user that was accepted before the head still waits in the user lane."""
        claim = self.claim
        return bool(claim.head_of_user) and seq_order(claim.seq_of_user) <= self.entry.order

    def is_absent(self, what: str, asked_s: float) -> bool:
        """Whether Sailthru has said that it lacks this, `asked_s` after the head was accepted or later."""
        absence, claim = self.claim.absence, self.claim
        if absence is None or absence.what != what or absence.identified != claim.memory.identified:
            return False
        return self.entry.clock + asked_s * 1000 <= absence.at <= claim.clock


def turn_state(claim: Claim) -> TurnState:
    """Where a turn of this claim begins."""
    head = claim.entries[0]
    intents = IntentLog.read(claim.intent) if claim.intent else NOTHING_PENDING
    return TurnState(claim, head, claim.state(head), intents)


def plan_context(state: TurnState, head: Event, now: float, read_lag: float) -> PlanContext:
    """What planning may rely on, for the head event. Times are Unix seconds.

    The cart is authoritative while an intent with it is unsettled, or while Sailthru's reads may
    still lag our own write of it.
    """
    claim, entry, pending = state.claim, state.entry, state.intents.pending
    own, last = written_cart(state), claim.memory.last_identify
    cart: Cart | None = None
    if isinstance(pending, PendingCart):
        # Another user of the same address may have bought since.
        cart = own if _is_newer(own, pending.at) else Cart(pending.base, pending.at)
    elif own is not None and own.at is not None and now - own.at <= read_lag:
        cart = own
    return PlanContext(
        now=now,
        email=claim.memory.email,
        email_by_page=claim.memory.email_by_page,
        cart=cart,
        cart_written_at=own.at if own else None,
        merged=frozenset(claim.memory.merged),
        user_id=_learned_user_id(claim, head),
        last_identify=LastIdentify(*last) if last else None,
        accepted_at=entry.at / 1000,
        first_accepted_at=(entry.first or entry.at) / 1000,
        stopped_s=_stopped_s(claim, entry),
        refused=state.refused,
    )


def _stopped_s(claim: Claim, entry: Entry) -> float:
    """How much of the head's wait was behind closed gates, where the lane's clock stands still."""
    on_the_wall = claim.now - entry.at
    counted = claim.clock - entry.clock
    return max(0, on_the_wall - counted) / 1000


def _learned_user_id(claim: Claim, head: Event) -> str | None:
    """The mailbox's name, unless the event has it itself: as an id, or as the email of one without."""
    if claim.user in (head.user_id, head.anonymous_id) or claim.user.startswith(UNIDENTIFIED):
        return None
    email = None if head.user_id or head.anonymous_id else head.any_email
    return None if email and claim.user == email.lower() else claim.user


def with_profile(known: PlanContext, profile: Profile, state: TurnState) -> PlanContext:
    """`known` after GET /user. A cart read there that is older than our last write loses to ours.

    So does one read from a profile without our user's email, or with another: a cart is written by
    email, and until an identify joins the two profiles, it lies in one that our look-up does not read.
    """
    own = written_cart(state, first_usable([profile.email], known.refused))
    emails = (known.email, email_in_user_id(state.claim.user), profile.email)
    email = first_usable(emails, known.refused)
    known = replace(known, profile=profile, email=email, cart_written_at=own.at if own else None)
    hidden = not profile.exists or _differ(profile.email, email)
    stale = own is not None and _is_stale(profile.cart, own)
    if known.cart is None and own is not None and (hidden or stale):
        return replace(known, cart=own)
    return known


def known_address(state: TurnState) -> str | None:
    """Where the head's call goes to as far as Sailthru's profile is not needed to tell; see `find_email` of the mapping."""
    head, memory, refused = state.event, state.claim.memory, state.refused
    own = address(head, head.kind, refused) if head else None
    learned = None if memory.email_by_page else memory.email
    return own or first_usable((learned, email_in_user_id(state.claim.user)), refused)


def written_cart(state: TurnState, looked_up: str | None = None) -> Cart | None:
    """The cart that we wrote last for the head's user, or for another of the same address if that is newer.

    looked_up: the address that Sailthru's profile has; it counts when no other is known.
    """
    claim, own = state.claim, read_cart(state.claim.cart)
    there, text = claim.cart_of
    if not text and (own is None or own.email is None):
        return own
    email = known_address(state)
    # At a shared device each person has a cart.
    if own and own.email is not None and _differ(own.email, email or claim.memory.email):
        own = None
    if not text or _differ(there, email or looked_up):
        return own
    other = read_cart(text)
    return other if own is None or _is_newer(other, own.at) else own


def read_cart(text: str) -> Cart | None:
    """What `write_cart` wrote; None for ''."""
    if not text:
        return None
    fields = json.loads(text)
    return Cart(tuple(fields["items"]), fields["at"], fields.get("email"))


def write_cart(cart: Cart, now: float) -> str:
    """The cart as remembered, stamped with the time of our write."""
    fields: dict[str, Any] = {"items": list(cart.items), "at": now}
    if cart.email is not None:
        fields["email"] = cart.email
    return json.dumps(fields, separators=(",", ":"))


def _differ(one: str | None, other: str | None) -> bool:
    return (one or "").lower() != (other or "").lower()


def _is_newer(cart: Cart | None, at: float | None) -> bool:
    return cart is not None and cart.at is not None and (at is None or cart.at > at)


def _is_stale(read: Cart | None, own: Cart) -> bool:
    """By the rule of the mapping (`pipeline.mapping.cart`), which would take an overwritten cart for
    empty where we still know what we wrote. Sailthru's times have whole seconds."""
    if read is None or own.at is None:
        return False
    return read.at is None or read.at < int(own.at)
