"""`sailpipe top`, driven by keys as a terminal sends them, over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from pipeline.cli.app import run
from pipeline.cli.top.app import Top
from pipeline.cli.top.figures import BARS, matches, spark
from pipeline.cli.top.screens import OneLane
from pipeline.cli.top.source import Reading, Source
from pipeline.deadletters.audit import AuditTrail
from pipeline.events.models import Lane
from pipeline.gates.gates import Gates
from pipeline.processes.history import take_samples
from pipeline.settings import AccountSettings, Settings
from tests.support.letters import Pipeline, track

SIZE = (160, 40)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(redis_url) as opened:
        yield opened


@pytest.fixture
async def top(client: redis.asyncio.Redis, redis_url: str) -> Top:
    """Three events wait in one lane; one is a dead letter."""
    pipeline = Pipeline(client)
    await pipeline.send(track(1), track(2), track(3))
    await pipeline.split()
    await pipeline.kill(track(4))
    await take_samples(client, ["default"])
    return Top(Source(client, Settings(accounts={"default": AccountSettings()}), redis_url))


async def until(pilot: Pilot[None], what: Any) -> None:
    """Let the program work until this is so."""
    for _ in range(200):
        if what():
            return
        await pilot.pause(0.02)
    pytest.fail("it never was so")


def said(top: Top, name: str) -> str:
    return str(top.query_one(f"#{name}", Static).render())


def rows(top: Top, name: str = "lanes") -> list[str]:
    table: DataTable[Any] = top.query_one(f"#{name}", DataTable)
    return [" ".join(map(str, table.get_row_at(at))) for at in range(table.row_count)]


async def at_lane(pilot: Pilot[None], top: Top, lane: str) -> None:
    """Put the cursor on a lane with the arrow key."""
    await until(pilot, lambda: len(rows(top)) == len(Lane))
    at = next(number for number, row in enumerate(rows(top)) if row.startswith(f"{lane} "))
    await pilot.press(*["down"] * at)


async def test_the_figures_of_status_stand_in_the_terminal(top: Top) -> None:
    """The first line, each lane with its plot, what is dead; a look closer names what waits."""
    async with top.run_test(size=SIZE) as pilot:
        await at_lane(pilot, top, "event")
        assert said(top, "headline").startswith("NO")
        assert "Dead letters: rejected 1" in said(top, "problems")
        (event,) = [row for row in rows(top) if row.startswith("event ")]
        assert event.split()[:4] == ["event", "open", "3", BARS[-1]]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(top.screen, OneLane))
        lines = str(top.screen.query_one("#lane-lines", Static).render())
        assert "3 events of 3 people wait for " in lines
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(top.screen, OneLane))


async def test_a_lane_is_paused_with_a_reason_and_resumed_after_a_yes(
    top: Top, client: redis.asyncio.Redis
) -> None:
    """By the verbs of the command line, which write down who did it. Escape pauses nothing."""

    async def state() -> list[str]:
        found = await Gates(client, "default").all_closures(0)
        return [f"{one.scope} {one.detail}" for one in found]

    async with top.run_test(size=SIZE) as pilot:
        await at_lane(pilot, top, "event")
        await pilot.press("p", "escape")
        await until(pilot, lambda: len(top.screen_stack) == 1)
        assert await state() == []
        await pilot.press("p", *"ok", "enter")
        await until(pilot, lambda: any("event paused" in row for row in rows(top)))
        (closed,) = await state()
        assert closed.startswith("event by ")
        assert closed.endswith(": ok")
        assert "Closed: event is paused" in said(top, "problems")
        await pilot.press("r", "n", "r", "y")
        await until(pilot, lambda: any("event open" in row for row in rows(top)))
        assert await state() == []
    acts = await AuditTrail(client, "default").latest(5)
    assert [(one.verb, one.what, one.why) for one in acts] == [
        ("resume", "event", ""),
        ("pause", "event", "ok"),
    ]


async def test_rows_are_filtered_by_words_and_all_are_back_after_escape(top: Top) -> None:
    """While the words are typed."""
    async with top.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(rows(top)) == len(Lane))
        await pilot.press("slash", *"pu", "enter")
        await until(pilot, lambda: len(rows(top)) == 1)
        assert rows(top)[0].startswith("purchase ")
        assert top.query_one("#filter", Input).display
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(top)) == len(Lane))
        await pilot.press("question_mark")
        await until(pilot, lambda: len(top.screen_stack) == 2)
        assert "asks for a reason" in str(top.screen.query_one(Static).render())


async def test_a_redis_that_goes_away_is_said_and_the_last_figures_stay(
    client: redis.asyncio.Redis, top: Top, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on when Redis is back."""

    async def away(_: Source) -> None:
        raise redis.exceptions.ConnectionError

    async with top.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(rows(top)) == len(Lane))
        with monkeypatch.context() as patch:
            patch.setattr(Source, "read", away)
            top.read()
            await until(pilot, lambda: "does not answer" in said(top, "headline"))
            assert len(rows(top)) == len(Lane)
        top.read()
        await until(pilot, lambda: said(top, "headline").startswith("NO"))
        await pilot.press("q")


def test_without_a_terminal_another_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe shows no live figures."""
    assert run(["top"]) == 2
    assert "status --watch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([0, 0], "▁▁"),
        ([0, 7], "▁█"),
        (list(range(60)), "▁▁▂▂▃▃▄▄▅▅▆▆▇▇█"),
        ([9] + [0] * 30, "█▁▁▁▁▁▁▁▁▁▁"),
    ],
)
def test_a_plot_shows_the_largest_of_each_share(values: list[int], shown: str) -> None:
    """The newest at the right, in so many characters at most."""
    assert spark(values) == shown


def test_a_row_is_shown_that_has_every_word() -> None:
    """In any case, anywhere."""
    assert matches(("default", "event", "paused"), "Event pau")
    assert not matches(("default", "event"), "event paused")


class Slow(Source):
    """Of a Redis that takes several times as long as there is between two readings."""

    async def read(self) -> Reading:
        await asyncio.sleep(0.3)
        return await super().read()


async def test_a_slow_redis_is_shown_all_the_same(
    client: redis.asyncio.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that is under way is not given up for the next."""
    monkeypatch.setattr("pipeline.cli.top.app.EVERY_S", 0.05)
    top = Top(Slow(client, Settings(accounts={"default": AccountSettings()}), redis_url))
    async with top.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: len(rows(top)) == len(Lane))
