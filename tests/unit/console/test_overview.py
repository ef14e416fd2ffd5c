"""What the overview says: the verdict, when a lane clears, and that no number is made up."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise
from typing import Any

import fakeredis
import httpx
import pytest
from redis.asyncio import Redis

from pipeline.console.overview import (
    PLOT_HEIGHT,
    PLOT_WIDTH,
    PLOTTED,
    Mood,
    cards,
    flow,
    points,
    verdicts,
)
from pipeline.deadletters.states import GroupState, GroupStates
from pipeline.events.models import Lane
from pipeline.processes.history import EVERY_MS, Sample, take_samples
from pipeline.processes.records import Process, ProcessRole
from pipeline.status.outlook import Prospect
from pipeline.status.signs import Signs, read_signs
from pipeline.storage import keys
from tests.support.letters import Pipeline, track

CLEARS = "2026-11-27T14:35:00.000Z"
ALIVE = Signs(splitter=True, workers=dict.fromkeys(Lane, True))


def account(
    *gates: dict[str, Any], late_s: float = 0.0, waiting: int = 0, dead: int = 0
) -> dict[str, Any]:
    lane = {
        "backlog": waiting,
        "oldest_s": 360.0 if waiting else None,
        "retrying": 0,
        "waiting_email": 0,
        "waiting_other": 0,
        "late_s": late_s,
        "complete": True,
        "rate": 39.0,
        "limit": 40.0,
        "measured": 12.5,
        "prospect": "clears",
        "clears_at": CLEARS,
    }
    counts = {"enqueued": 10, "derived": 1, "waiting": waiting, "delivered": 11 - waiting - dead}
    return {
        "gates": list(gates),
        "counts": counts | {"dead": dead, "ignored": 0, "duplicates": 0, "removed": 0},
        "lanes": {"purchase": lane},
        "ownership": {"foreign": False, "why": None, "fix": None},
    }


def gate(reason: str, scope: str = "account") -> dict[str, Any]:
    return {"scope": scope, "reason": reason, "until": None, "since": None, "detail": "said so"}


def said(one: dict[str, Any], signs: Signs = ALIVE) -> list[tuple[Mood, str]]:
    return [(verdict.mood, verdict.title) for verdict in verdicts(one, signs)]


def test_when_nothing_is_wrong_it_says_so() -> None:
    """In one sentence; letters are named, and do not make it bad."""
    assert said(account()) == [(Mood.GOOD, "Delivering")]
    assert said(account(dead=3)) == [(Mood.GOOD, "Delivering")]


@pytest.mark.parametrize(
    ("reason", "mood"),
    [
        ("paused", Mood.STOPPED),
        ("brake", Mood.STOPPED),
        ("misconfigured", Mood.STOPPED),
        ("circuit", Mood.SLOW),
        ("throttled", Mood.SLOW),
        ("memory_high", Mood.SLOW),
    ],
)
def test_a_closed_gate_is_said_in_words(reason: str, mood: Mood) -> None:
    """The lane's name as people know it, and no private word."""
    ((found, title),) = said(account(gate(reason, "purchase")))
    assert found is mood
    assert title.startswith("Orders & carts: ")
    assert reason not in title.split(": ")[1] or reason == "paused"


def test_the_worst_comes_first() -> None:
    """A lane that is slow is no news while everything stands still."""
    found = said(account(gate("circuit", "purchase"), gate("paused"), late_s=500, waiting=9))
    assert [mood for mood, _ in found] == [Mood.STOPPED, Mood.SLOW]


def test_no_worker_or_no_splitter_is_the_first_thing_said() -> None:
    """Nothing moves then, and nothing else says so."""
    silent = Signs(splitter=False, workers=dict.fromkeys(Lane, False))
    titles = [title for _, title in said(account(), silent)]
    assert titles == ["No worker is running", "No splitter is running"]
    some = Signs(splitter=True, workers={**ALIVE.workers, Lane.PAGE: False})
    assert said(account(), some) == [(Mood.STOPPED, "No worker delivers Page views")]


def test_a_lane_is_slow_when_what_is_due_waits_for_its_turn() -> None:
    """Orders that wait for an email, or for their user, are old and not late."""
    assert said(account(late_s=360, waiting=9)) == [(Mood.SLOW, "Orders & carts are 6 min late")]
    assert said(account(waiting=9)) == [(Mood.GOOD, "Delivering")]


def test_what_arrived_is_the_sum_of_what_became_of_it() -> None:
    """Derived entries included."""
    (_, _, arrived), *others = flow(account(waiting=4, dead=2)["counts"])
    assert arrived == sum(count for _, _, count in others) == 11


def samples(*waiting: int) -> list[Sample]:
    every: dict[str, int] = {lane.value: 0 for lane in Lane}
    return [
        Sample(EVERY_MS * number, 0, {**every, "purchase": count}, every)
        for number, count in enumerate(waiting)
    ]


def test_a_card_says_what_the_status_says_of_its_lane() -> None:
    """When it is empty, how fast it goes, and the most that waited in the plot."""
    (card,) = cards(account(waiting=9), samples(3, 12, 9))
    assert (card.prospect, card.measured, card.most) == (Prospect.CLEARS, 12.5, 12)
    assert card.clears_at == datetime.fromisoformat(CLEARS).timestamp()
    assert card.points == points(samples(3, 12, 9), "purchase") != ""


def test_how_fast_a_lane_grows_is_said_by_what_was_sampled() -> None:
    """In events a second; one sample alone says nothing."""
    ten_a_second = samples(0, 150, 300, 450)
    assert cards(account(waiting=9), ten_a_second)[0].grows == 10.0
    assert cards(account(waiting=9), samples(7))[0].grows is None
    assert cards(account(waiting=9), [])[0].grows is None


def test_who_cannot_see_the_plot_has_a_row_a_minute() -> None:
    """The newest is the last, and what is older than the plot is left out."""
    (card,) = cards(account(waiting=9), samples(*range(PLOTTED + 9)))
    assert len(card.minutes) == 15
    assert card.minutes[-1] == ((PLOTTED + 8) * EVERY_MS / 1000, PLOTTED + 8)
    assert {b[0] - a[0] for a, b in pairwise(card.minutes)} == {60.0}


def test_a_verdict_has_its_times_apart_from_its_words() -> None:
    """So that each page can show them in the zone of its browser."""
    closed = gate("circuit", "api") | {"since": "2026-11-27T13:02:00.000Z", "until": CLEARS}
    (found,) = verdicts(account(closed), ALIVE)
    assert (found.since, found.next_try, found.why) == (closed["since"], CLEARS, "said so")
    (late,) = verdicts(account(late_s=360, waiting=9), ALIVE)
    assert late.clears_at == CLEARS
    assert "UTC" not in found.detail + late.detail


def test_the_plot_stays_in_its_box() -> None:
    """The newest sample is at the right, the most at the top; what is older than the plot is left out."""
    drawn = points(samples(*range(PLOTTED + 9)), "purchase").split()
    places = [tuple(map(float, one.split(","))) for one in drawn]
    assert len(places) == PLOTTED + 1
    assert places[-1] == (PLOT_WIDTH, 1.0)
    assert all(0 <= x <= PLOT_WIDTH and 0 <= y <= PLOT_HEIGHT for x, y in places)
    assert points(samples(0, 0), "purchase") != ""
    assert points(samples(7), "purchase") == ""


async def test_the_overview_plots_what_processes_have_sampled(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """Every HTTP server shows the same, and one that has just begun shows what was before."""
    await redis.hset(keys.counts("default"), "waiting:event", "7")
    await take_samples(redis, ["default"])
    assert "polyline" not in (await http.get("/console")).text
    await take_samples(redis, ["default"])
    page = (await http.get("/console")).text
    assert "Waiting in the last 15 minutes: at most 7, now 7" in page
    assert "Calls saved today" not in page


async def test_the_overview_says_how_many_calls_folding_has_saved_today(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """From one sample to the next."""
    await take_samples(redis, ["default"])
    await redis.hset(keys.counts("default"), "folded", "1204")
    await take_samples(redis, ["default"])
    assert "Calls saved today (UTC): 1,204" in (await http.get("/console")).text


async def test_signs_of_life_are_what_processes_say_of_themselves() -> None:
    """Not how lately a lane was looked into: an empty one is left alone."""
    redis = fakeredis.FakeAsyncRedis()
    assert await read_signs(redis) == Signs(splitter=False, workers=dict.fromkeys(Lane, False))
    seconds, _ = await redis.time()
    user = Process(ProcessRole.WORKER, 0, lanes=(Lane.USER,))
    for process, age_ms in ((user, 0), (Process(ProcessRole.SPLITTER, 0), 60_000)):
        at_ms = seconds * 1000 - age_ms
        await redis.hset(keys.PROCESSES, process.id, f"{at_ms} {process.encode()}")
    found = await read_signs(redis)
    assert (found.splitter, found.workers["user"], found.workers["event"]) == (False, True, False)


async def test_every_page_says_first_how_it_stands_and_how_many_problems_are_open(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """One that somebody has set aside is not counted; nor is one that was, and is gone."""
    await pipeline.kill(track(1))
    await pipeline.kill(track(2), detail="something else")
    for path in ("help", "dead", "people/u1"):
        page = (await http.get(f"/console/{path}")).text
        assert '<a href="/console">No worker is running</a>' in page
        assert "2<span" in page
    marks = GroupStates(redis, "default")
    (first, _) = (await http.get("/api/dead/stats")).json()["groups"]
    for name in (first["fingerprint"], "0123456789ab"):
        await marks.set(name, GroupState.ACKNOWLEDGED, "ann", "")
    assert "1<span" in (await http.get("/console/help")).text


async def test_every_page_says_why_and_since_when_it_stands_still(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """The operator's own words, which nothing of a page may be made of."""
    for process in (
        Process(ProcessRole.WORKER, 0, lanes=tuple(Lane)),
        Process(ProcessRole.SPLITTER, 0),
    ):
        seconds, _ = await redis.time()
        await redis.hset(keys.PROCESSES, process.id, f"{seconds * 1000} {process.encode()}")
    await http.post("/console/lanes/account/pause", data={"reason": "a bad <b>release"})
    (truth,) = re.findall(r'<p id="truth".*?</p>', (await http.get("/console/help")).text)
    words = re.sub(r"<[^>]+>", "", truth)
    assert re.fullmatch(
        r"■ Everything: paused by the operator since .*\d\d:\d\d UTC — by this machine: a bad &lt;b&gt;release",
        words,
    )
    assert "<time datetime=" in truth


async def test_what_is_drawn_can_be_heard(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """A hidden table says what each plot shows."""
    await redis.hset(keys.counts("default"), "waiting:event", "7")
    for _ in range(2):
        await take_samples(redis, ["default"])
    assert "<td>7</td>" in (await http.get("/console")).text
    await pipeline.kill(track(1), track(2))
    assert (
        'UTC</time></td><td data-label="Letters">2</td>'
        in (await http.get("/console/problems")).text
    )


async def test_each_number_of_the_flow_leads_to_what_it_counts(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """And, of what was not for Sailthru, to the reasons."""
    await redis.hset(keys.counts("default"), mapping={"ignored:bot": "7", "ignored:pages_off": "9"})
    page = (await http.get("/console")).text
    for name in ("delivered", "ignored", "duplicates", "removed"):
        assert f'href="/console/counts#{name}"' in page
    counts = (await http.get("/console/counts")).text
    assert "Not for Sailthru: 16" in counts
    assert counts.index("pages_off") < counts.index("bot")


async def test_what_arrived_leads_to_how_it_came(http: httpx.AsyncClient, redis: Redis) -> None:
    """By way and type, the most first."""
    counts: dict[Any, Any] = {"came_in:segment:track": "7", "came_in:redis:page": "9"}
    await redis.hset(keys.counts("default"), mapping=counts)
    assert 'href="/console/counts#arrived"' in (await http.get("/console")).text
    page = (await http.get("/console/counts")).text
    assert page.index("By Redis") < page.index("By Segment&#39;s API")
