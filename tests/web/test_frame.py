"""What stands around every page, in a real browser: how fresh the numbers are, and what is said when they are not."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.commands import wait_until
from tests.web.conftest import READ_PASSWORD, Site
from tests.web.looks import look_everywhere
from tests.web.test_stories import order

pytestmark = pytest.mark.web


def log_in(page: Page, address: str, password: str) -> None:
    """Another test may just have used up the tries; they come back in half a minute."""
    for _ in range(8):
        page.goto(f"{address}/console/login")
        page.get_by_label("Password of the console").fill(password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_load_state("load")
        if page.get_by_role("alert").filter(has_text="Too many tries").count() == 0:
            return page.wait_for_url("**/console")
        page.wait_for_timeout(5000)
    pytest.fail("The pause after too many tries has no end.")


def test_numbers_stay_when_the_log_in_ends_and_the_way_back_is_shown(
    guarded: str, context: BrowserContext
) -> None:
    """The page asks every two seconds, and a session lasts twelve hours."""
    page = context.new_page()  # the fixture's fails on what a script says of a refusal
    log_in(page, guarded, READ_PASSWORD)
    expect(page.locator("#as-of")).to_contain_text("Numbers as of")
    context.clear_cookies()
    expect(page.get_by_text("you are not logged in any more")).to_be_visible()
    page.wait_for_timeout(2500)  # one more answer of the same kind
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("Where the events are")
    assert look_everywhere(page, "overview-logged-out") == []
    page.locator("#lost").get_by_role("link", name="Log in").click()
    expect(page.get_by_label("Password of the console")).to_be_visible()
    log_in(page, guarded, READ_PASSWORD)
    expect(page.locator("#lost")).to_be_hidden()
    context.clear_cookies()
    page.close()


def test_when_the_server_is_away_the_bar_says_since_when_the_numbers_stand(
    site: Site, context: BrowserContext
) -> None:
    """It is the time of the last answer, not of the failure; the next answer takes the bar away."""
    page = context.new_page()  # the fixture's fails on what a browser says of a lost connection
    page.goto(f"{site.address}/console")
    page.route("**/console", lambda route: route.abort())
    expect(page.get_by_text("the connection is lost")).to_be_visible()
    stands = page.locator("#as-of time").get_attribute("datetime") or ""
    expect(page.locator("#lost time")).to_have_attribute("datetime", stands)
    page.unroute("**/console")
    expect(page.locator("#lost")).to_be_hidden()
    expect(page.locator("#as-of time")).not_to_have_attribute("datetime", stands)
    page.close()


def test_refreshing_is_held_by_key_on_the_page_of_a_job_too(site: Site, page: Page) -> None:
    """A job that has ended asks no more."""
    site.enqueue(*(order(f"31{n:03}", f"j-{n}", products=[], shop="Held") for n in range(9)))
    wait_until(lambda: len(site.dead(match="Held")) == 9, "nine letters")
    page.goto(f"{site.address}/console/resend?match=Held")
    page.get_by_label("At most so many a second").fill("1")
    page.get_by_role("button", name="Send 9 again").click()
    expect(page.get_by_text("refreshing every 2 s")).to_be_visible()
    page.keyboard.press(".")
    expect(page.locator("footer")).to_contain_text("not refreshing")
    held = page.locator("#as-of time").get_attribute("datetime") or ""
    page.wait_for_timeout(2500)
    expect(page.locator("#as-of time")).to_have_attribute("datetime", held)
    page.keyboard.press(".")
    site.command("pause", "--lane", "page")
    expect(page.locator("#truth")).to_contain_text("Page views: paused by the operator since")
    site.command("resume", "--lane", "page")
    expect(page.locator("[data-refreshes]")).to_be_hidden(timeout=60_000)
    expect(page.locator("#live")).to_contain_text("of 9, done")
