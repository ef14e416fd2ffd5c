"""What a person does in the console, in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, expect

from tests.support.commands import wait_until
from tests.web.conftest import PASSWORD, READ_PASSWORD, Site, open_context
from tests.web.looks import look_everywhere

pytestmark = [pytest.mark.web, pytest.mark.timeout(300)]

TEA = {"product_id": "t", "name": "Tea", "price": 4.5, "quantity": 1, "url": "https://h.example/t"}
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def order(number: str, user: str, **properties: Any) -> dict[str, Any]:
    said = {"order_id": number, "products": [TEA], "total": 4.5, **properties}
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "messageId": f"m-{number}",
    } | {"properties": said}


def test_an_order_without_an_email_is_found_given_one_and_delivered(site: Site, page: Page) -> None:
    """By its number, in the search box; the preview shows the call before anything is sent."""
    site.enqueue(order("10045", "u-77"))
    wait_until(lambda: site.dead(reason="missing_email"), "the order is a letter")
    delivered = site.counts()["delivered"]
    page.goto(f"{site.address}/")
    page.keyboard.press("/")
    page.keyboard.type("10045")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("What happened to Order Completed")
    expect(page.locator("main")).to_contain_text("it has no e-mail address")
    page.get_by_role("link", name="Edit…").click()
    page.wait_for_load_state("load")
    page.get_by_label("The e-mail address that it lacks").fill("ann@shop.example.com")
    expect(page.locator("#preview")).to_contain_text("What will be sent")
    expect(page.locator("#preview")).to_contain_text("ann@shop.example.com")
    page.get_by_role("button", name="Save and send again").click()
    expect(page.get_by_role("status")).to_contain_text("sent again")
    wait_until(lambda: site.counts()["delivered"] == delivered + 1, "the order is delivered")
    assert site.dead(reason="missing_email") == []


def test_why_a_customer_gets_no_mail_is_found_out_on_a_button(site: Site, page: Page) -> None:
    """From the search box to the person, and what Sailthru says of the profile, without a reload."""
    site.enqueue(
        {"type": "identify", "userId": "w-1", "traits": {"email": "w-1@shop.example.com"}},
        order("60001", "w-1", products=[]),
    )
    wait_until(lambda: site.dead(user="w-1"), "the order is a letter")
    page.goto(f"{site.address}/console")
    page.get_by_label("Search a person, order or messageId").fill("w-1@shop.example.com")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/people/w-1")
    expect(page.locator("main")).to_contain_text("an identify said so")
    page.get_by_role("button", name="Find out").click()
    expect(page.locator("#why")).to_contain_text("Sailthru knows this person")
    expect(page.locator("#why")).to_contain_text("unmappable")
    assert look_everywhere(page, "why-answered") == []
    page.get_by_role("link", name="Order Completed").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Order")


def test_a_group_of_500_is_fixed_and_sent_again_with_progress_paused_and_stopped(
    site: Site, page: Page
) -> None:
    """A word in place of a price: the change is seen before it is written into all; a second job sends what the stopped one
    left, and all are delivered."""
    bad = {**TEA, "price": "free"}
    mail = {"context": {"traits": {"email": "f@shop.example.com"}}}
    site.enqueue(*(order(f"7{n:04}", f"f-{n}", products=[bad]) | mail for n in range(500)))
    wait_until(lambda: len(site.dead(match='"free"')) == 500, "500 letters")
    delivered = site.counts()["delivered"]
    group = site.dead(match='"free"')[0]["fingerprint"]
    page.goto(f"{site.address}/console/problems/{group}")
    page.get_by_role("link", name=re.compile("^Fix all")).click()
    page.get_by_label("Do").first.select_option("set")
    page.get_by_label("Field").first.fill("properties.products.*.price")
    page.get_by_label("Value, new path or kind").first.fill("4.5")
    expect(page.locator("#preview")).to_contain_text('properties.products.0.price: "free"')
    expect(page.locator("#preview")).to_contain_text("POST")
    assert look_everywhere(page, "fix-previewed") == []
    page.get_by_label("Why (stands in Activity)").fill("the shop's free tea")
    page.get_by_role("button", name="Fix 500").click()
    expect(page.get_by_role("status")).to_contain_text("500 changed")
    expect(page.locator("#pace")).to_contain_text("As fast as the limits let: done at about")
    soon = page.locator("#pace time").get_attribute("datetime")
    page.get_by_label("At most so many a second").fill("20")
    expect(page.locator("#pace")).to_contain_text("At most 20 a second: done at about")
    assert (page.locator("#pace time").get_attribute("datetime") or "") > (soon or "9")
    assert look_everywhere(page, "resend-paced") == []
    page.get_by_role("button", name="Send 500 again").click()
    page.wait_for_url("**/resends/*")
    expect(page.locator("#live")).to_contain_text("of 500")
    expect(page.locator("#live")).to_contain_text("shall it go on?")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("progress")).not_to_have_attribute("value", "10")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live")).to_contain_text("paused")
    assert look_everywhere(page, "resends-job") == []
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("#live")).to_contain_text("sending")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#live")).to_contain_text("stopped")
    page.get_by_role("link", name="Activity").first.click()
    expect(page.locator("main")).to_contain_text("stopped")
    page.goto(f"{site.address}/console/problems/{group}")
    left = len(site.dead(group=group))
    assert 0 < left < 490, "ten came before the question, some more before the stop"
    page.get_by_role("link", name=re.compile("^Send all")).click()
    page.get_by_label("The first 10, then ask me").uncheck()
    page.get_by_role("button", name=f"Send {left} again").click()
    expect(page.locator("#live")).to_contain_text(f"of {left}, done", timeout=60_000)
    wait_until(lambda: site.counts()["delivered"] == delivered + 500, "they are delivered")


def test_a_lane_is_paused_and_resumed_and_the_overview_says_so(site: Site, page: Page) -> None:
    """Without a reload: the overview refreshes itself."""
    page.goto(f"{site.address}/console")
    expect(page.locator("#live")).to_contain_text("Delivering", timeout=30_000)  # 500 orders ago
    page.get_by_role("link", name="Pause Events").click()
    page.get_by_label("Why (stands in Activity)").fill("a bad release")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#live")).to_contain_text("Events: paused by the operator")
    site.command("resume", "--lane", "event")
    expect(page.locator("#live")).to_contain_text("Delivering")


def test_what_events_hold_does_not_run(site: Site, page: Page) -> None:
    """Wherever it is shown; the fixture fails on a dialog or on what the console says."""
    hostile = {"type": "track", "event": HOSTILE, "userId": HOSTILE, "messageId": "hostile"}
    site.enqueue(
        {**hostile, "properties": {"order_id": HOSTILE, HOSTILE: HOSTILE}}, {"type": HOSTILE}
    )
    wait_until(lambda: site.dead(reason="invalid_event"), "one is a letter")
    for path in ("", "/problems", "/dead", "/dead?match=onerror"):
        page.goto(f"{site.address}/console{path}")
    page.locator("[data-row]").first.click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.locator("img, main script").count() == 0


def test_try_it_shows_calls_as_one_types(site: Site, page: Page) -> None:
    """And all works with the keyboard alone."""
    page.goto(f"{site.address}/console")
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/console/try")
    page.get_by_label("An event as JSON").fill(
        '{"type": "track", "userId": "u", "event": "Signed Up"}'
    )
    expect(page.locator("#preview")).to_contain_text("POST /event")
    page.get_by_label("An event as JSON").fill('{"type": "track"}')
    expect(page.locator("#preview")).to_contain_text("Would not be delivered")


def test_keys_reach_what_the_page_shows(site: Site, page: Page) -> None:
    """Rows with j and k, Enter opens; ? is help; nothing happens while one types."""
    site.enqueue(order("50001", "k-1", products=[]))
    wait_until(site.dead, "there is a letter")
    page.goto(f"{site.address}/console/dead")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/dead/*")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url("**/console/people")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_url("**/console/help")
    page.keyboard.press("/")
    page.keyboard.type("g t?")
    expect(page.get_by_label("Search a person, order or messageId")).to_have_value("g t?")


def test_rows_are_worked_through_by_key_alone(site: Site, page: Page) -> None:
    """From the overview to a problem, to the filter of problems, and to a letter of a list, edited and sent again: no mouse."""
    site.enqueue(*(order(f"5100{n}", f"row-{n}", products=[], note="Row") for n in range(2)))
    wait_until(lambda: len(site.dead(match="Row")) == 2, "two letters")
    page.goto(f"{site.address}/console")
    page.keyboard.press(".")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/problems/*")
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/console/problems")
    page.keyboard.press("f")
    tab_to(page, re.compile(r"The data's"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/problems?fault=data*")
    page.goto(f"{site.address}/console/dead?match=Row")
    for _ in range(2):
        page.keyboard.press("j")
    page.keyboard.press("e")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Edit Order 51000 of row-0")
    page.go_back()
    page.keyboard.press("j")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Send again")
    tab_to(page, "Send 1 again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Sent again")
    page.goto(f"{site.address}/console/people/row-1")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/events/*")


def tab_to(page: Page, name: str | re.Pattern[str]) -> None:
    """Press Tab until the link or button of this name has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        said = str(page.evaluate("document.activeElement.textContent")).strip()
        if said == name if isinstance(name, str) else name.match(said):
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_who_has_no_password_stays_out_and_who_only_reads_changes_nothing(
    site: Site, guarded: str, page: Page
) -> None:
    """Five tries, then a pause; a link leads on after the log-in."""
    page.goto(f"{guarded}/console/problems")
    page.get_by_label("Password of the console").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert").filter(has_text="not the password")).to_be_visible()
    page.get_by_label("Password of the console").fill(READ_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/console/problems")
    expect(page.locator("footer")).to_contain_text("read-only")
    page.goto(f"{guarded}/console/lanes/user/pause")
    expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    page.get_by_role("button", name="Log out").click()
    for _ in range(5):
        page.get_by_label("Password of the console").fill("wrong")
        page.get_by_role("button", name="Log in").click()
    page.get_by_label("Password of the console").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert").filter(has_text="Too many tries")).to_be_visible()


def test_another_sites_form_does_nothing(site: Site, context: BrowserContext) -> None:
    """The browser says where it comes from."""
    page = context.new_page()
    form = f'<form method="post" action="{site.address}/console/lanes/account/pause"><button>x</button></form>'
    page.route(
        "http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    page.goto("http://evil.example/")
    page.get_by_role("button").click()
    expect(page.locator("body")).to_contain_text("Another site sent this request")
    page.close()
    assert "paused" not in site.command("status")


def test_everything_works_without_javascript(
    site: Site, playwright: Playwright, tmp_path: Path
) -> None:
    """Whole pages, forms and links."""
    context = open_context(playwright, tmp_path, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.address}/console/try")
    page.get_by_role("button", name="Show the calls").click()
    expect(page.locator("#preview")).to_contain_text("POST /purchase")
    page.get_by_role("button", name="Colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    site.enqueue(order("30001", "n-1", products=[]))
    wait_until(lambda: site.dead(user="n-1"), "it is a letter")
    page.goto(f"{site.address}/console/resend?user=n-1")
    expect(page.locator("#pace")).to_contain_text("As fast as the limits let: done at about")
    page.goto(f"{site.address}/console/dead/m-30001")
    page.get_by_role("link", name="Discard…").click()
    page.get_by_role("button", name="Discard 1").click()
    expect(page.locator("main")).to_contain_text("1 discarded")
    assert site.dead(user="n-1") == []
    context.close()
