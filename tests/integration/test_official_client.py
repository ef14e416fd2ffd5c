"""Sailthru's own Python client against our sandbox: our idea of the API isn't only our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sailthru.sailthru_client import SailthruClient

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread

ITEM = {"id": "1", "title": "Café “Monopoly”", "price": 1899, "qty": 2, "url": "http://x/?a=1&b=é"}


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with running_in_thread() as found:
        yield found


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    running.app.reset()
    running.app.sandbox.options = SandboxOptions()
    return running


@pytest.fixture
def client(sandbox: RunningSandbox) -> SailthruClient:
    return SailthruClient("sandbox", "sandbox", api_url=sandbox.url)


def test_the_official_client_saves_reads_and_deletes_a_user(client: SailthruClient) -> None:
    """Nested and non-ASCII values survive signature and query."""
    saved = client.save_user(
        "usr+42 &é%",
        {"key": "extid", "keys": {"email": "zoë@example.com"}, "vars": {"city": {"name": "Łódź"}}},
    )
    assert saved.is_ok()
    assert saved.get_body() == {"ok": True}
    read = client.get_user("zoë@example.com", {"key": "email"})
    assert read.get_body()["keys"]["extid"] == "usr+42 &é%"
    assert read.get_body()["vars"] == {"city": {"name": "Łódź"}}
    assert client.api_delete("user", {"id": "usr+42 &é%", "key": "extid"}).is_ok()
    gone = client.get_user("usr+42 &é%", {"key": "extid"})
    assert not gone.is_ok()
    assert gone.get_error().get_message().startswith("User not found with extid")


def test_the_official_client_posts_an_event(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """It sends the vars; a reserved name is an error for it, too."""
    client.save_user("42", {"key": "extid"})
    event = {"id": "42", "key": "extid", "event": "Registered", "vars": {"plan": "pro"}}
    assert client.api_post("event", event).is_ok()
    assert sandbox.app.sandbox.state.events[0]["vars"] == {"plan": "pro"}
    assert not client.api_post("event", {**event, "event": "click"}).is_ok()


def test_the_official_client_fills_a_cart_and_buys(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """The order is found by the extid the client sends at the top level; the cart is empty."""
    assert client.purchase("zoe@example.com", [ITEM], incomplete=1).is_ok()
    fields = {"key": "email", "fields": {"purchase_incomplete": 1}}
    filled = client.get_user("zoe@example.com", fields).get_body()
    assert filled["purchase_incomplete"]["items"] == [ITEM]
    assert client.purchase("zoe@example.com", [ITEM], extid="o-1").is_ok()
    found = client.get_purchase("o-1", "extid")
    assert found.get_body()["items"] == [ITEM]
    assert found.get_body()["price"] == 3798
    assert "purchase_incomplete" not in client.get_user("zoe@example.com", fields).get_body()
    assert len(sandbox.app.sandbox.state.purchases) == 1


def test_an_order_without_items_is_an_error(client: SailthruClient) -> None:
    """The client writes no items as an object, not a list."""
    refused = client.purchase("zoe@example.com")
    assert refused.get_error().get_error_code() == 99
    assert refused.get_error().get_message() == "No items in purchase"


@pytest.mark.parametrize(
    ("key", "secret", "code"), [("sandbox", "wrong", 5), ("wrong", "sandbox", 3)]
)
def test_wrong_credentials_are_refused(
    sandbox: RunningSandbox, key: str, secret: str, code: int
) -> None:
    """HTTP 401 with error 3 for the key and 5 for the signature."""
    refused = SailthruClient(key, secret, api_url=sandbox.url).save_user("a@b.co", {"key": "email"})
    assert refused.get_status_code() == 401
    assert refused.get_error().get_error_code() == code


def test_the_official_client_reads_the_rate_limit_and_error_43(
    client: SailthruClient, sandbox: RunningSandbox
) -> None:
    """Its own reader of the headers finds all three."""
    # A window of a day, so that no new one starts between the two calls.
    sandbox.app.sandbox.options = SandboxOptions(limits={"POST /user": 1}, window_s=86_400)
    client.save_user("a@b.co", {"key": "email"})
    info = client.get_last_rate_limit_info("user", "POST")
    assert (info["limit"], info["remaining"]) == (1, 0)
    refused = client.save_user("a@b.co", {"key": "email"})
    assert refused.get_status_code() == 429
    assert refused.get_error().get_error_code() == 43
