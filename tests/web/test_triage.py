"""Problems and what waits, as a colleague works through them in a real browser."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page, expect

from tests.support.commands import wait_until
from tests.web.conftest import Site
from tests.web.looks import look_everywhere
from tests.web.test_stories import order

pytestmark = pytest.mark.web


def stats(site: Site, *words: str) -> dict[str, str]:
    """Fingerprint -> state."""
    lines = site.command("dead", "stats", "--json", *words).splitlines()
    return {row["fingerprint"]: row["state"] for row in map(json.loads, lines)}


def test_a_problem_is_acknowledged_from_the_list_by_key_and_opened_again(
    site: Site, page: Page
) -> None:
    """The command line sees the same state, and who set it."""
    site.enqueue({"type": "track", "event": "", "userId": "a-1", "messageId": "a-1"})
    wait_until(lambda: site.dead(match="a-1"), "it is a letter")
    group = site.dead(match="a-1")[0]["fingerprint"]
    page.goto(f"{site.address}/console/problems")
    page.locator(f'a[href="/console/problems/{group}"]').focus()
    page.keyboard.press("a")
    expect(page.get_by_role("status")).to_contain_text("Now acknowledged")
    assert stats(site)[group] == "acknowledged"
    expect(page.locator(f'a[href="/console/problems/{group}"]')).to_have_count(0)
    page.get_by_role("link", name="Acknowledged (").click()
    assert look_everywhere(page, "problems-acknowledged") == []
    page.locator(f'a[href="/console/problems/{group}"]').click()
    page.get_by_label("Why (stands in Activity)").fill("it came back")
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("status")).to_contain_text("Now open")
    assert stats(site)[group] == "open"
    assert "it came back" in site.command("dead", "audit", "--json", "--limit", "1")


def test_letters_are_picked_by_key_saved_as_a_view_and_sent_again(site: Site, page: Page) -> None:
    """Two of three; the third stays, and the view finds it."""
    site.enqueue(*(order(f"8{n:04}", f"s-{n}", products=[], shop="Alpha") for n in range(3)))
    wait_until(lambda: len(site.dead(match="Alpha")) == 3, "three letters")
    page.goto(f"{site.address}/console/dead?match=Alpha")
    page.get_by_text("Save this view…").click()
    page.get_by_label("Name, for all who look").fill("Alpha's orders")
    assert look_everywhere(page, "letters-saving") == []
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Saved as Alpha's orders")
    for _ in range(2):
        page.keyboard.press("j")
        page.keyboard.press("x")
    page.locator("#picked").get_by_role("button", name="Send again…").click()
    expect(page.locator("main")).to_contain_text("2 letters of 2 people")
    assert look_everywhere(page, "resend-picked") == []
    page.get_by_role("button", name="Send 2 again").click()
    expect(page.get_by_role("status")).to_contain_text("2 sent again")
    page.get_by_role("link", name="Activity").first.click()
    assert look_everywhere(page, "activity-views") == []
    page.get_by_role("link", name="Alpha's orders").click()
    expect(page.locator("main")).to_contain_text("Filter: match Alpha")
    page.get_by_role("link", name="Activity").first.click()
    page.get_by_role("button", name="Delete the view Alpha's orders").click()
    expect(page.get_by_role("status")).to_contain_text("Alpha's orders is deleted")


def test_a_person_is_forgotten_and_the_receipt_names_nobody(site: Site, page: Page) -> None:
    """The button asks for the id; the command line finds nothing afterwards."""
    site.enqueue(order("90001", "forget-me-1", products=[]))
    wait_until(lambda: site.dead(user="forget-me-1"), "it is a letter")
    page.goto(f"{site.address}/console/people/forget-me-1")
    page.get_by_role("link", name="Forget this person…").click()
    page.get_by_label("Type forget-me-1 to go on").fill("forget-me-1")
    page.get_by_role("button", name="Forget this person").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Nothing is left", timeout=30_000)
    expect(page.locator("main")).not_to_contain_text("forget-me-1")
    assert look_everywhere(page, "receipt") == []
    assert json.loads(site.command("forget", "forget-me-1", "--check", "--json"))["found"] == 0


def test_who_waits_behind_a_pause_is_reached_from_the_overview(site: Site, page: Page) -> None:
    """With the cause in words; what waits for that cannot be discarded."""
    site.command("pause", "--lane", "page")
    site.enqueue({"type": "page", "name": "Home", "userId": "v-1", "messageId": "v-1"})
    wait_until(lambda: "v-1" in site.command("user", "v-1", "--json"), "it waits")
    page.goto(f"{site.address}/console")
    page.locator("#waiting-page").click()
    expect(page.locator("main")).to_contain_text("Deliveries to go on, which are stopped")
    expect(page.locator("main")).to_contain_text("v-1")
    expect(page.get_by_role("link", name="Discard: Page views")).to_have_count(0)
    assert look_everywhere(page, "waiting-paused") == []
    site.command("resume", "--lane", "page")


def test_what_is_tried_is_sent_to_the_sandbox_and_its_page_shows_its_end(
    site: Site, page: Page
) -> None:
    """From the preview on; without a reload."""
    page.goto(f"{site.address}/console/try")
    event = {"type": "identify", "userId": "t-9", "traits": {"email": "t-9@shop.example.com"}}
    page.get_by_label("An event as JSON").fill(json.dumps(event))
    expect(page.locator("#preview")).to_contain_text("t-9@shop.example.com")
    page.get_by_role("button", name="Send to the sandbox").click()
    expect(page.get_by_role("status")).to_contain_text("1 event is on the way")
    expect(page.locator("#live")).to_contain_text("delivered")
    expect(page.locator("#link")).to_contain_text("/console/events/try-")
