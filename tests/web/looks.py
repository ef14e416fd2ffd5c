"""What is wrong with how a page looks, for eyes and for aids; a screenshot is left behind."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PHONE = 390
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"


def look_at(page: Page, name: str) -> list[str]:
    """Leave screenshots/NAME.png; what sticks out to the side, and what axe finds serious, a line each."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    found = []
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        found.append(f"{name} sticks out")
    return found + [
        f"{name}: {one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in Axe().run(page).response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


def look_everywhere(page: Page, name: str) -> list[str]:
    """The same of the page as it stands, at a desk and on a phone, in light and dark."""
    found = []
    for width in (1280, PHONE):
        for scheme in ("light", "dark"):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            found += look_at(page, f"{name}-{width}-{scheme}")
        found += small_targets(page) if width == PHONE else []
    page.set_viewport_size({"width": 1280, "height": 900})
    return found


def small_targets(page: Page, least: int = 44) -> list[str]:
    """Controls that a thumb would miss: less than `least` pixels wide or high. A link in a sentence may be as short as its word."""
    found: list[str] = page.evaluate(_SMALL, least)
    return found


_SMALL = """least => [...document.querySelectorAll("a, button, input, select, textarea, summary")].filter(one => {
  const target = one.matches("[type=checkbox]") ? one.closest("label") || one : one;
  const box = target.getBoundingClientRect();
  const inSentence = one.matches("p > a, footer a") && getComputedStyle(one).display === "inline";
  const isShown = one.checkVisibility() && box.width > 1 && box.right > 0;
  return isShown && (box.height < least - 0.5 || !inSentence && box.width < least - 0.5);
}).map(one => `${location.pathname}: ${one.outerHTML.slice(0, 160)}`)"""
