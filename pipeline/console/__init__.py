"""The web console: whole pages, drawn by the server, that work without JavaScript. It holds no logic of its own.

overview, views, tales (what a page says; no I/O) -> pages (what they have in common) -> letters, problems, fixing, mending,
saved, waiting, people, forgetting, trying, operate (the pages) -> site (all routes, behind the guard)
"""

from __future__ import annotations

from pipeline.console.pages import HOME
from pipeline.console.site import Console

__all__ = ["HOME", "Console"]
