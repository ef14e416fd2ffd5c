"""Every page at a desk and on a phone, in light and dark: nothing sticks out, and axe finds nothing serious."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from tests.support.commands import wait_until
from tests.web.conftest import Site
from tests.web.looks import look_at
from tests.web.test_stories import order

pytestmark = pytest.mark.web

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
LOOKS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]


@pytest.fixture(scope="module")
def paths(site: Site) -> list[str]:
    """All pages, those of one letter and one problem among them."""
    site.enqueue(order("40001", "p-1", products=[], note="x" * 300))
    wait_until(lambda: site.dead(user="p-1"), "it is a letter")
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
def test_the_log_in_is_as_good(guarded: str, page: Page, width: int, scheme: str) -> None:
    """It has no navigation."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    check(page, [f"{guarded}/console/login"], f"{width}-{scheme}")
    assert page.locator(".badge").inner_text() == "sandbox"


def check(page: Page, addresses: list[str], look: str) -> None:
    found: list[str] = []
    for address in addresses:
        page.goto(address)
        name = re.sub(r"\W+", "-", address.partition("/console")[2]).strip("-") or "overview"
        name = re.sub(r"[0-9a-f]{12}", "one", name)
        found += look_at(page, f"{name}-{look}")
    assert found == []
