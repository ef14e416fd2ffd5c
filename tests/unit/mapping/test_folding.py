"""Folding never changes the end state: judged by the sandbox, on random sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.events.models import Event, validate_event
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.sandbox import Sandbox
from pipeline.settings import AccountSettings
from tests.unit.mapping.delivering import POISON, Delivery, end_state

EXAMPLES = 1_000 if settings.get_current_profile_name() == "deep" else 200
SETTINGS = AccountSettings()
EMAILS = ("a@example.com", "b@example.com")
REMINDER = {"reminder_template": "cart", "reminder_time": "1 day"}

emails = st.sampled_from((None, None, None, *EMAILS))
kills = st.lists(st.booleans(), max_size=6)


def _body(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "userId": "u1", **fields}


def _identify(
    traits: dict[str, int], email: str | None, anonymous: str | None, option: dict[str, Any]
) -> dict[str, Any]:
    shown = traits | {"email": email}
    integrations = {"Sailthru": option}
    return _body("identify", traits=shown, anonymousId=anonymous, integrations=integrations)


def _change(
    what: tuple[str, str],
    count: object,
    email: str | None,
    option: dict[str, str],
    price: object = 1,
) -> dict[str, Any]:
    name, product = what
    properties = {"product_id": product, "name": product, "price": price, "quantity": count}
    properties["url"] = "https://shop.example/p"
    context = {"traits": {"email": email}}
    integrations = {"Sailthru": option}
    fields = {"properties": properties, "context": context, "integrations": integrations}
    return _body("track", event=name, **fields)


identifies = st.builds(
    _identify,
    traits=st.dictionaries(st.sampled_from(("x", "y", "z", POISON)), st.integers(0, 9), max_size=2),
    email=emails,
    anonymous=st.sampled_from((None, None, None, "a1", "a2")),
    option=st.sampled_from(
        (
            *(
                {},
                {},
                {},
                {"defaultListName": "L"},
                {"optoutValue": "all"},
                {"optoutValue": "none"},
            ),
            *({"lists": {"L": 0}}, {"lists": {"L": 1, "M": 0}}),
        )
    ),
)
user_barriers = st.sampled_from(
    (
        _body("alias", previousId="a1"),
        _body("track", event="Subscribed", properties={"list": "News"}),
        _body("identify", traits={"email": "not an email"}),
    )
)
# What is refused when added is never removed: within a fold its addition would not show.
changes_of = st.sampled_from(
    (
        *(("Product Added", product) for product in ("p", "q", "p", "q", POISON)),
        *(("Product Removed", product) for product in ("p", "q")),
    )
)
changes = st.builds(
    _change,
    what=changes_of,
    count=st.sampled_from((1, 1, 2, "3", 0, 0.5)),
    email=emails,
    option=st.sampled_from(({}, {}, {}, {}, REMINDER)),
    price=st.sampled_from((1, 1, 2, "1,299")),
)
orders = st.just(
    _body(
        "track",
        event="Order Completed",
        properties={
            "products": [
                {"product_id": "p", "name": "p", "price": 1, "url": "https://shop.example/p"}
            ]
        },
    )
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(bodies=st.lists(identifies | identifies | user_barriers, max_size=10), deaths=kills)
def test_folded_identifies_leave_the_profile_that_single_ones_leave(
    bodies: list[dict[str, Any]], deaths: list[bool]
) -> None:
    """Identifies merge, clash and are refused; owners die between a call and its settling."""
    _compare(_events(bodies), _people, deaths)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    bodies=st.lists(changes | changes | orders, max_size=12),
    deaths=kills,
    lag_s=st.sampled_from((0.0, 1.0, 2.5)),
    known_email=st.sampled_from((None, *EMAILS)),
)
def test_folded_carts_leave_the_cart_that_single_changes_leave(
    bodies: list[dict[str, Any]], deaths: list[bool], lag_s: float, known_email: str | None
) -> None:
    """Sailthru's reads may show the state of several calls ago."""
    _compare(_events(bodies), _shoppers, deaths, lag_s, known_email)


def test_ten_waiting_changes_are_one_post() -> None:
    """The property above would hold for a mapping that never folds."""
    bodies = [_change(("Product Added", "p"), 1, EMAILS[0], {})] * 10
    sandbox = Sandbox()

    folded = Delivery(sandbox, SETTINGS, fold=True)
    folded.deliver(_events(bodies))

    assert folded.posts == 1
    assert end_state(sandbox)["profiles"][0]["cart"][0]["qty"] == 10


def _events(bodies: Sequence[dict[str, Any]]) -> list[Event]:
    return [validate_event(body | {"messageId": f"m{n}"}) for n, body in enumerate(bodies)]


def _compare(
    events: list[Event],
    world: Callable[[Sandbox], None],
    deaths: list[bool],
    lag_s: float = 0.0,
    email: str | None = None,
) -> None:
    folded, single = Sandbox(SandboxOptions(lag_s=lag_s)), Sandbox(SandboxOptions(lag_s=lag_s))
    world(folded)
    world(single)
    dies = iter(deaths)
    by_folds = Delivery(folded, SETTINGS, True, email, lambda: next(dies, False))
    by_one = Delivery(single, SETTINGS, False, email)

    by_folds.deliver(events)
    by_one.deliver(events)

    assert end_state(folded) == end_state(single)
    assert by_folds.refused == by_one.refused


def _people(sandbox: Sandbox) -> None:
    """An anonymous profile, and one known by email alone whose vars clash."""
    early = 1_600_000_000.0
    sandbox.handle("POST", "/user", {"id": "a1", "key": "extid", "vars": {"x": 11}}, early)
    by_email = {"id": EMAILS[0], "key": "email", "vars": {"x": 22, "y": 22}}
    sandbox.handle("POST", "/user", by_email | {"optout_email": "basic"}, early)


def _shoppers(sandbox: Sandbox) -> None:
    """A user with an old cart, whom Sailthru may or may not know by the event's email."""
    early = 1_600_000_000.0
    keys = {"id": "u1", "key": "extid", "keys": {"email": EMAILS[0]}, "keysconflict": "merge"}
    sandbox.handle("POST", "/user", keys, early)
    item = {"id": "q", "title": "q", "qty": 2, "price": 100, "url": "https://shop.example/q"}
    cart = {"email": EMAILS[0], "items": [item], "incomplete": 1}
    sandbox.handle("POST", "/purchase", cart, early)
