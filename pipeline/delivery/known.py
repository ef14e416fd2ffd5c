"""What planning may rely on, from what a claim brought along."""

from __future__ import annotations

import json
from dataclasses import replace

from pipeline.delivery.marks import CartMark, read_mark
from pipeline.emails import email_in_user_id
from pipeline.events import Event
from pipeline.identity import NOBODY
from pipeline.mailbox.claim import Claim
from pipeline.mapping.plan import Cart, Known, LastIdentify, Profile


def known_of(claim: Claim, head: Event, now: float, read_lag: float) -> Known:
    """Memory as `Known`, for the head event. Times are Unix seconds.

    The cart is authoritative while an intent with it is unsettled, or while Sailthru's reads may
    still lag our own write of it.
    """
    own, last = own_cart(claim), claim.memory.last_identify
    mark = read_mark(claim.intent)
    cart: Cart | None = None
    if isinstance(mark, CartMark):
        cart = Cart(mark.base, mark.at)
    elif own is not None and own.at is not None and now - own.at <= read_lag:
        cart = own
    return Known(
        now=now,
        email=claim.memory.email,
        cart=cart,
        cart_written_at=own.at if own else None,
        merged=frozenset(claim.memory.merged),
        user_id=_learned_user_id(claim, head),
        last_identify=LastIdentify(*last) if last else None,
        accepted_at=claim.head.at / 1000,
        first_accepted_at=(claim.head.first or claim.head.at) / 1000,
        stopped_s=_stopped_s(claim),
    )


def _stopped_s(claim: Claim) -> float:
    """How much of the head's wait was behind closed gates, where the lane's clock stands still."""
    on_the_wall = claim.now - claim.head.at
    counted = claim.clock - claim.head.clock
    return max(0, on_the_wall - counted) / 1000


def _learned_user_id(claim: Claim, head: Event) -> str | None:
    """The mailbox's name, unless the event has it itself: as an id, or as the email of one without."""
    email = head.any_email
    in_email = email.lower() if email and not (head.user_id or head.anonymous_id) else None
    is_own = claim.user in (head.user_id, head.anonymous_id, in_email)
    return None if is_own or claim.user.startswith(NOBODY) else claim.user


def with_profile(known: Known, profile: Profile, claim: Claim) -> Known:
    """`known` after GET /user. A cart read there that is older than our last write loses to ours.

    So does one read from a profile without our user's email, or with another: a cart is written by
    email, and until an identify joins the two it lies where nobody can read it.
    """
    own = own_cart(claim)
    email = known.email or email_in_user_id(claim.user) or profile.email
    hidden = not profile.exists or _differ(profile.email, email)
    stale = own is not None and _is_stale(profile.cart, own)
    if known.cart is None and own is not None and (hidden or stale):
        return replace(known, profile=profile, email=email, cart=own)
    return replace(known, profile=profile, email=email)


def own_cart(claim: Claim) -> Cart | None:
    """The cart we wrote last, as remembered."""
    if not claim.cart:
        return None
    fields = json.loads(claim.cart)
    return Cart(tuple(fields["items"]), fields["at"])


def write_cart(cart: Cart, now: float) -> str:
    """The cart as remembered, stamped with the time of our write."""
    return json.dumps({"items": list(cart.items), "at": now}, separators=(",", ":"))


def _differ(one: str | None, other: str | None) -> bool:
    return (one or "").lower() != (other or "").lower()


def _is_stale(read: Cart | None, own: Cart) -> bool:
    """By the rule of the mapping (`pipeline.mapping.cart`), which would take an overwritten cart for
    empty where we still know what we wrote. Sailthru's times have whole seconds."""
    if read is None or own.at is None:
        return False
    return read.at is None or read.at < int(own.at)
