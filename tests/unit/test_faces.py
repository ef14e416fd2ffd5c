"""One verb for one act: command line, HTTP and console can do the same, or it is said here why they do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import fakeredis
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from pipeline.api import Api
from pipeline.cli.commands import COMMANDS, load
from pipeline.clock import ManualClock
from pipeline.console import Console
from pipeline.guard import Guard
from pipeline.ingest.upstream import Upstream
from pipeline.settings import load_settings
from pipeline.status.reader import StatusReader

PAGE = (Path(__file__).parents[2] / "docs" / "console.md").read_text()

ACTS = (
    # what is done, in words; by command line; by HTTP; in the console
    ("how everything stands", "status", "GET /api/status", "GET /console GET /console/counts"),
    ("what an event would become", "map", "POST /api/map", "GET /console/try POST /console/try"),
    ("letters by filter", "dead list", "GET /api/dead", "GET /console/dead"),
    ("one letter", "dead show", "GET /api/dead/{id}", "GET /console/dead/{id}"),
    ("change one", "dead edit", "PATCH /api/dead/{id}", "GET /console/edit POST /console/edit POST /console/save"),
    ("change many", "dead fix", "POST /api/dead/fix", "GET /console/fix POST /console/fix POST /console/fix/apply"),
    ("send again", "dead replay", "POST /api/dead/replay", "GET /console/resend POST /console/resend"),
    ("discard", "dead drop", "POST /api/dead/drop", "GET /console/discard POST /console/discard"),
    ("take away as lines", "dead export", "GET /api/dead/export", "GET /console/export"),
    ("letters by cause", "dead stats", "GET /api/dead/stats", "GET /console/problems GET /console/problems/{group}"),
    ("acknowledge, ignore, reopen", "dead mark", "POST /api/dead/mark", "POST /console/problems/{group}/mark"),
    ("who did what", "dead audit", "GET /api/dead/audit", "GET /console/activity GET /console/activity/export"),
    ("re-sends, and steering one", "dead jobs", "GET /api/jobs GET /api/jobs/{id} POST /api/jobs/{id}/{verb}", "GET /console/resends GET /console/resends/{job} POST /console/resends/{job}/{verb}"),
    ("what happened to an event", "trace", "GET /api/trace/{id}", "GET /console/events/{id}"),
    ("what is known of a person, and why no mail", "user", "GET /api/users/{id} POST /api/why", "GET /console/people/{user} POST /console/why"),
    ("erase a person", "forget", "POST /api/users/{id}/forget", "GET /console/forget POST /console/forget GET /console/receipts/{person}"),
    ("what waits; try it now, or discard it", "waiting", "GET /api/waiting POST /api/waiting/release POST /api/waiting/drop", "GET /console/waiting GET /console/waiting/release POST /console/waiting/release GET /console/waiting/drop POST /console/waiting/drop"),
    ("pause", "pause", "POST /api/lanes/{lane}/pause", "GET /console/lanes/{lane}/pause POST /console/lanes/{lane}/pause"),
    ("resume", "resume", "POST /api/lanes/{lane}/resume", "POST /console/lanes/{lane}/resume"),
)  # fmt: skip

NOT_EVERYWHERE = {
    "doctor": "its checks stand on Set-up; a program asks /healthz, /readyz and /api/status",
    "GET /console/setup POST /console/setup": "the console's `doctor`",
    "enqueue": "over HTTP events come in by the ways in (/v1, the webhook), which no operator's token opens",
    "POST /console/try/send": "the console's `enqueue`, of what was tried",
    "GET /console/people": "one box for `trace` and `user`: a program knows which of both it asks",
    "POST /console/views POST /console/views/delete": "a view is a filter under a name, and a script keeps its own",
    "GET /console/help": "`--help`, and docs/",
    "GET /console/login POST /console/login POST /console/logout POST /console/theme": "of the browser alone",
    "metrics": "over HTTP /metrics, which has a token of its own",
    "top": "`status`, drawn in a terminal",
    "calls": "what a dry run would have sent, compared on a machine before sailpipe delivers",
    "adopt reset": "for good, for a whole account: whoever does this has the machine",
    "limits set": "limits are the installation's, as settings are",
    "limits unset": "the same",
    "up serve worker splitter sandbox healthcheck": "processes are started on their machine",
    "xadd": "shows what a producer does",
}
"""Commands and routes that one face lacks on purpose -> why."""


class Open:
    """A guard that lets everything through, so that an app's routes can be read."""

    def around(self, app: Starlette, **_: Any) -> Starlette:
        return app


def routes_of(routes: list[BaseRoute]) -> Iterator[str]:
    for route in routes:
        if isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            yield from (f"{method} {path}" for method in (route.methods or set()) - {"HEAD"})
        else:
            assert isinstance(route, Mount), "files that pages need"


@pytest.fixture(scope="module")
def there_are() -> dict[str, set[str]]:
    """Face -> what it can do, as the code has it."""
    settings, clock = load_settings({}), ManualClock()
    client = cast("Any", fakeredis.FakeAsyncRedis())
    status, ask = StatusReader(client, settings, "", clock), Upstream(settings, client).ask
    made: dict[str, Api | Console] = {
        "HTTP": Api(settings, client, status, clock, ask),
        "console": Console(settings, client, status, clock, ask),
    }
    open_guard = cast("Guard", Open())
    found = {
        face: set(routes_of(cast("Starlette", app.app(open_guard)).routes))
        for face, app in made.items()
    }
    return found | {"command line": LEAVES}


def leaves(command: Any, path: str) -> Iterator[str]:
    below = getattr(command, "commands", {})
    if not below:
        yield path
    for name, one in below.items():
        yield from leaves(one, f"{path} {name}")


def split_routes(text: str) -> set[str]:
    """`GET /a POST /b` as its two; words of the command line one by one where they are alone."""
    words = text.split()
    if "/" not in text:
        return {text} if text in LEAVES else set(words)
    return {f"{method} {path}" for method, path in zip(words[::2], words[1::2], strict=True)}


LEAVES = {path for name in COMMANDS for path in leaves(load(name), name)}
ON_ONE = {one for text in NOT_EVERYWHERE for one in split_routes(text)}


@pytest.mark.parametrize(("face", "column"), [("command line", 1), ("HTTP", 2), ("console", 3)])
def test_what_one_face_can_do_the_others_can_or_it_is_said_why_not(
    there_are: dict[str, set[str]], face: str, column: int
) -> None:
    """Whoever adds a command or a route adds its row, with the other two, or a reason."""
    in_table = {one for act in ACTS for one in split_routes(act[column])}
    assert in_table & ON_ONE == set()
    assert there_are[face] - ON_ONE == in_table


def test_no_reason_is_left_of_what_is_gone(there_are: dict[str, set[str]]) -> None:
    assert ON_ONE - set().union(*there_are.values()) == set()


def test_the_page_names_every_route_of_the_api(there_are: dict[str, set[str]]) -> None:
    """And, in the same row, the command that does the same."""
    for _, command, api, _ in ACTS:
        for route in split_routes(api):
            shown = route.replace("{verb}", "pause")
            [row] = [one for one in PAGE.splitlines() if one.startswith(f"| `{shown}`")]
            assert f"`sailpipe {command}" in row, f"{shown} and sailpipe {command}"
