"""Every Lua script of the project as text, and what tests look for in one."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pipeline

PACKAGE = Path(pipeline.__file__).parent
_TOKEN = re.compile(r"--[^\n]*|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")
LIBRARY = "storage/lua/lib.lua"


@cache
def lua_sources() -> dict[str, str]:
    """Path below `pipeline/` -> the script without its comments."""
    paths = sorted(PACKAGE.rglob("*.lua"))
    return {str(path.relative_to(PACKAGE)): without_comments(path.read_text()) for path in paths}


def without_comments(text: str) -> str:
    """The same code; a `--` inside a text is no comment."""
    return _TOKEN.sub(lambda found: "" if found[0].startswith("--") else found[0], text)


def without_texts(code: str) -> str:
    """Code without comments whose texts are empty."""
    return _TOKEN.sub("''", code)
