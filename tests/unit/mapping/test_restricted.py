"""What a page's identify or Subscribed may change of a profile, case by case."""

from __future__ import annotations

import pytest

from pipeline.errors import MappingRejected
from pipeline.events.models import validate_event
from pipeline.events.rights import restricted
from pipeline.mapping import plan
from pipeline.mapping.plan import Cart, LastIdentify, Owner, PlanContext, Profile, Send
from pipeline.mapping.restricted import Giving, check_list, may_give
from pipeline.roles import Role
from pipeline.settings import AccountSettings

EMAIL, OTHER = "Ann@x.com", "eve@x.com"
NAME = EMAIL.lower()
BARE, WITH_IT, WITH_ANOTHER = (
    Profile(exists=True, email=email) for email in (None, "ANN@x.com", OTHER)
)


@pytest.mark.parametrize(
    ("context", "may"),
    [
        ({}, Giving.ASK_PROFILE),
        ({"email": OTHER}, Giving.NO),
        ({"email": "ann@X.com"}, Giving.ASK_PROFILE),
        ({"email": OTHER, "refused": {OTHER}}, Giving.ASK_PROFILE),
        ({"last_identify": LastIdentify(NAME, "extid", "u1")}, Giving.HAS_IT),
        ({"last_identify": LastIdentify(OTHER, "extid", "u1")}, Giving.ASK_PROFILE),
        ({"profile": WITH_IT}, Giving.HAS_IT),
        ({"profile": WITH_ANOTHER}, Giving.NO),
        ({"profile": BARE}, Giving.ASK_OWNER),
        ({"profile": BARE, "owner": Owner(OTHER)}, Giving.ASK_OWNER),
        ({"profile": BARE, "owner": Owner(NAME)}, Giving.YES),
        ({"profile": BARE, "owner": Owner(NAME, extid="u1", exists=True)}, Giving.HAS_IT),
        ({"profile": BARE, "owner": Owner(NAME, extid="u2", exists=True)}, Giving.NO),
        ({"profile": BARE, "owner": Owner(NAME, exists=True)}, Giving.NO),
        ({"profile": BARE, "owner": Owner(NAME, learned=True)}, Giving.NO),
    ],
)
def test_an_email_is_given_only_to_a_profile_without_one_and_only_if_no_other_has_it(
    context: dict[str, object], may: Giving
) -> None:
    known = PlanContext(now=1_700_000_000.0, **context)  # type: ignore[arg-type]
    assert may_give(EMAIL, "u1", known) is may


def test_a_page_adds_its_visitors_to_the_default_list_and_those_of_the_settings_only() -> None:
    settings = AccountSettings(default_list="News", browser_lists=frozenset({"Offers"}))
    for name in ("News", "Offers"):
        check_list(name, settings)
    for name in ("A", "Z"):
        with pytest.raises(MappingRejected, match="neither DEFAULT_LIST nor one of BROWSER_LISTS"):
            check_list(name, settings)


@pytest.mark.parametrize(
    ("url", "is_kept"),
    [
        ("https://shop.example/a", True),
        ("https://SHOP.example/a", True),
        ("https://eve:pw@shop.example/a", True),
        ("/a", True),
        ("https://evil.example/a", False),
        ("https://shop.example@evil.example/a", False),
        ("https://shop.example:8443/a", False),
        ("//evil.example/a", False),
    ],
)
def test_a_pages_cart_links_to_the_shops_own_host(url: str, is_kept: bool) -> None:
    """Else to the product below PRODUCT_BASE_URL: the reminder mail is the shop's."""
    product = {"product_id": "p1", "name": "n", "price": 1, "url": url}
    body = {"type": "track", "event": "Product Added", "userId": "u1", "properties": product}
    settings = AccountSettings(product_base_url="https://shop.example/p")
    context = PlanContext(now=1_700_000_000.0, cart=Cart(), email="ann@x.com")
    step = plan([restricted(validate_event(body), Role.BROWSER)], context, settings)
    assert isinstance(step, Send)
    [item] = step.call.params["items"]
    assert (item["url"] != "https://shop.example/p/p1") is is_kept
