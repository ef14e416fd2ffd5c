"""htmx as the package holds it."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pipeline

ROOT = Path(__file__).parents[3]
STATIC = Path(pipeline.__file__).parent / "console" / "static"


def test_htmx_is_the_one_that_pyproject_names() -> None:
    """It comes out of another package's wheel when this one is built; nobody has put another in its place."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["sailpipe"]["htmx"]
    code = (STATIC / "htmx.min.js").read_bytes()
    assert hashlib.sha256(code).hexdigest() == named["sha256"]
    assert f'version:"{named["version"]}"'.encode() in code
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE.txt").read_text()


def test_the_style_sheet_is_one_and_short_and_asks_no_other_host() -> None:
    """At most 400 lines; no address in it, nor in the script."""
    assert [path.name for path in STATIC.glob("*.css")] == ["console.css"]
    style, script = ((STATIC / name).read_text() for name in ("console.css", "console.js"))
    assert style.count("\n") <= 400
    assert "://" not in style + script
    assert "@import" not in style
