"""Which cart a change starts from, in every order of times, and which userId was learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.delivery.context import plan_context, turn_state, with_profile, write_cart
from pipeline.events.models import Event, Lane, validate_event
from pipeline.mailbox.claim import Claim, Entry, Memory
from pipeline.mapping import plan
from pipeline.mapping.plan import Cart, Profile, Send
from pipeline.settings import AccountSettings

ANN = "ann@example.com"
ITEM = {"id": "p1", "title": "Cup", "qty": 1, "price": 950, "url": "https://shop.example.com/p1"}
MORE: Event = validate_event(
    {
        "type": "track",
        "event": "Product Added",
        "userId": "u1",
        "context": {"traits": {"email": "ann@example.com"}},
        "properties": {"product_id": "p1", "name": "Cup", "price": 9.5, "url": ITEM["url"]},
    }
)


def claim_with(cart: str, now: float, user: str = "u1") -> Claim:
    ms = int(now * 1000)
    entry = Entry("m1", f"{ms}-0", ms, ms, b"{}")
    return Claim(
        account="default",
        lane=Lane.PURCHASE,
        user=user,
        token="1-1",
        now=ms,
        clock=ms,
        head_of_user="",
        entries=(entry,),
        states={},
        memory=Memory(email="ann@example.com"),
        cart=cart,
        intent="",
        strikes=0,
        probe=False,
    )


@example(written_ms=100_500, settled_after_ms=500, later_ms=2_000)
@given(
    written_ms=st.integers(100_000, 103_000),
    settled_after_ms=st.integers(0, 3_000),
    later_ms=st.integers(0, 5_000),
)
def test_our_own_cart_write_is_never_taken_for_an_empty_cart(
    written_ms: int, settled_after_ms: int, later_ms: int
) -> None:
    """Sailthru tells the second in which it took our write, we the moment in which we settled it."""
    settled = (written_ms + settled_after_ms) / 1000
    now = settled + later_ms / 1000
    claim = claim_with(write_cart(Cart((ITEM,)), settled), now)
    read = Profile(True, "ann@example.com", Cart((ITEM,), float(written_ms // 1000)))

    state = replace(turn_state(claim), event=MORE)
    known = plan_context(state, MORE, now, read_lag=1.0)
    if known.cart is None:
        known = with_profile(known, read, state)
    step = plan([MORE], known, AccountSettings())

    assert isinstance(step, Send)
    assert [item["qty"] for item in step.call.params["items"]] == [2]


@pytest.mark.parametrize(
    ("ids", "mailbox", "learned"),
    [
        ({"userId": "u1"}, "u1", None),
        ({"anonymousId": "a1"}, "a1", None),
        ({"anonymousId": "a1"}, "u1", "u1"),
        ({"anonymousId": "a1"}, ANN, ANN),
        ({}, ANN, None),
        ({}, "u1", "u1"),
        ({}, "~1-0", None),
    ],
)
def test_a_mailbox_that_the_event_does_not_name_belongs_to_a_learned_user_id(
    ids: dict[str, str], mailbox: str, learned: str | None
) -> None:
    """A userId may be an email, and the event may show that one, too: it is the user's all the same."""
    shown = {"context": {"traits": {"email": ANN.upper()}}}
    event = validate_event({"type": "track", "event": "Seen", **ids, **shown})

    state = turn_state(claim_with("", 1.0, mailbox))
    assert plan_context(state, event, 1.0, read_lag=1.0).user_id == learned
