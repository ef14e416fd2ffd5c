"""Puts htmx into the package when it is built: the copy that django-htmx's wheel holds. Django itself is not needed."""

from __future__ import annotations

import hashlib
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = Path("pipeline", "console", "static")
HTMX = "django_htmx/static/django_htmx/htmx-2.min.js"
LICENCE = """\
htmx, Zero-Clause BSD. https://github.com/bigskysoftware/htmx

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT,
INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN
ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF
THIS SOFTWARE.
"""


class HtmxHook(BuildHookInterface[Any]):
    """Copies htmx and its licence into the tree (git-ignored), for wheels and for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises RuntimeError when the copy is not the one that pyproject.toml names."""
        del version, build_data
        root = Path(self.root)
        wanted = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["sailpipe"]["htmx"]
        code = Path(str(distribution("django-htmx").locate_file(HTMX))).read_bytes()
        if hashlib.sha256(code).hexdigest() != wanted["sha256"]:
            raise RuntimeError("htmx is not the one whose sha256 pyproject.toml names")
        target = root / STATIC
        target.mkdir(parents=True, exist_ok=True)
        (target / "htmx.min.js").write_bytes(code)
        (target / "htmx.LICENSE.txt").write_text(LICENCE)
