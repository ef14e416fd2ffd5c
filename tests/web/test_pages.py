"""Every page at a desk and on a phone, in light and dark, with data and without: nothing sticks out, axe finds nothing
serious, a thumb hits every control, and Tab reaches it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from tests.support.commands import wait_until
from tests.web.conftest import Site
from tests.web.looks import PHONE, look_at, small_targets
from tests.web.test_stories import order

pytestmark = [pytest.mark.web, pytest.mark.timeout(300)]

PAGES = (
    "",
    "/counts",
    "/waiting",
    "/problems",
    "/people",
    "/dead",
    "/try",
    "/activity",
    "/setup",
    "/help",
)
WITHOUT_DATA = (
    *PAGES,
    "/waiting?for=email",
    "/problems?state=acknowledged",
    "/dead?reason=rejected",
    "/people/nobody",
    "/people?q=nobody",
    "/lanes/user/pause",
)
LOOKS = [(width, scheme) for width in (1280, PHONE) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def paths(site: Site) -> list[str]:
    """All pages, those of one letter and one problem among them."""
    site.enqueue(
        order("40001", "p-1", products=[], note="x" * 300), order("p-2", "p-2", products=[])
    )
    wait_until(lambda: site.dead(user="p-1") and site.dead(user="p-2"), "they are letters")
    (letter,) = site.dead(user="p-1")
    one = f"id={letter['id']}"
    return [
        *PAGES,
        f"/problems/{letter['fingerprint']}",
        f"/dead/{letter['id']}",
        f"/edit?{one}",
        f"/resend?{one}",
        "/resend?reason=unmappable",
        f"/discard?{one}",
        "/lanes/user/pause",
        "/problems?state=ignored",
        "/waiting?for=turn",
        "/waiting/release?for=email",
        "/waiting/drop?for=email",
        "/dead?match=nothing-like-this",
        "/fix?reason=unmappable",
        "/people/p-1",
        "/forget?user=p-1",
        "/people/nobody",
        "/people?q=nobody",
        "/people?q=p-2",
        "/events/m-40001",
        "/nowhere",
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_no_page_sticks_out_or_shuts_anybody_out(
    site: Site, page: Page, paths: list[str], width: int, scheme: str
) -> None:
    """A screenshot of each is left in screenshots/."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    check(page, [f"{site.address}/console{path}" for path in paths], f"{width}-{scheme}")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_nor_does_one_without_data(empty: str, page: Page, width: int, scheme: str) -> None:
    """Nothing has arrived yet, and nothing runs: each says so, and is as good."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    check(page, [f"{empty}/console{path}" for path in WITHOUT_DATA], f"empty-{width}-{scheme}")


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_the_log_in_is_as_good(guarded: str, page: Page, width: int, scheme: str) -> None:
    """It has no navigation."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    check(page, [f"{guarded}/console/login"], f"{width}-{scheme}")
    assert page.locator(".badge").inner_text() == "sandbox"


def test_tab_reaches_every_control_of_every_page(site: Site, page: Page, paths: list[str]) -> None:
    """In the order in which they stand, each with a ring around it; none keeps the focus."""
    page.set_viewport_size({"width": 1280, "height": 900})
    found: list[str] = []
    for path in paths:
        page.goto(f"{site.address}/console{path}")
        page.keyboard.press(".")  # what is drawn anew has another place
        page.evaluate("document.activeElement.blur()")
        controls = page.evaluate(MARK_CONTROLS)
        reached: dict[str, bool] = {}
        for _ in range(controls + 1):
            page.keyboard.press("Tab")
            number, has_ring = page.evaluate(FOCUSED)
            reached.setdefault(number, has_ring)
        missed = {str(one) for one in range(controls)} - set(reached)
        found += [f"{path}: Tab never reaches {name}" for name in sorted(missed)]
        found += [f"{path}: no ring around {one}" for one, ring in reached.items() if not ring]
    assert found == []


MARK_CONTROLS = """() => {
  const shown = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter(one => one.checkVisibility() && !one.disabled && one.type !== "hidden");
  shown.forEach((one, at) => one.dataset.at = at);
  return shown.length;
}"""
FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  return [one.dataset.at || one.tagName, one === document.body || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0];
}"""


def check(page: Page, addresses: list[str], look: str) -> None:
    found: list[str] = []
    for address in addresses:
        page.goto(address)
        name = re.sub(r"\W+", "-", address.partition("/console")[2]).strip("-") or "overview"
        name = re.sub(r"[0-9a-f]{12}", "one", name)
        found += look_at(page, f"{name}-{look}")
        found += small_targets(page) if str(PHONE) in look else []
    assert found == []
