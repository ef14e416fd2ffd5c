"""The Set-up page: what `sailpipe doctor` would say, and a call to Sailthru only on a button."""

from __future__ import annotations

import re

import pytest
from redis.asyncio import Redis

from pipeline.ratelimit.limiter import Limiter
from pipeline.ratelimit.store_redis import RedisSlotStore
from pipeline.sailthru.answers import Answer, Failed, Failure
from pipeline.verbs.people import NotAsked
from tests.support.console import Asked, browser

PASSWORDS = {"CONSOLE_PASSWORD": "correct horse", "CONSOLE_READ_PASSWORD": "battery staple"}


def found(page: str) -> str:
    """The text of the list of checks, in one line."""
    (checks,) = re.findall(r'<ul class="findings" id="checks">(.*?)</ul>', page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", checks))


async def test_the_page_says_what_is_wrong_and_what_mends_it(redis: Redis) -> None:
    """Nothing runs here but Redis. Looking asks Sailthru nothing."""
    upstream = Asked(NotAsked("never asked", 1))
    async with browser(redis, upstream) as http:
        checks = found((await http.get("/console/setup")).text)
    assert "✓ good: Redis:" in checks
    assert "✗ to mend: Processes:" in checks
    assert "Start `sailpipe up`" in checks
    assert "credentials" not in checks
    assert upstream.calls == []


async def test_what_a_live_account_lacks_is_said(redis: Redis) -> None:
    """Producers and page events would be refused, and nothing else would say why."""
    live = {"API_KEY": "k", "API_SECRET": "s"}
    async with browser(redis, **live) as http:
        checks = found((await http.get("/console/setup")).text)
    assert "▲ look at this: Default write keys: none: HTTP producers are answered 401" in checks
    assert "▲ look at this: Default customer id: none: page events are ignored" in checks


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Failed(Failure.USER_NOT_FOUND, 400, 99, "unknown"),
            "good: Default credentials: the sandbox accepts",
        ),
        (
            Failed(Failure.MISCONFIGURED, 401, 3, "no such key"),
            "to mend: Default credentials: the sandbox: no such key. Mend SAILPIPE_API_KEY",
        ),
        (
            NotAsked("Calls are stopped (paused)", 60),
            "look at this: Default credentials: Sailthru was not asked",
        ),
    ],
)
async def test_the_button_asks_sailthru_once_whether_it_accepts_the_key(
    redis: Redis, answer: Answer | NotAsked, said: str
) -> None:
    """Who only reads may press it too: nothing is changed."""
    upstream = Asked(answer)
    async with browser(redis, upstream, **PASSWORDS) as http:
        await http.post("/console/login", data={"password": "battery staple"})
        page = (await http.post("/console/setup", data={})).text
        assert (await http.post("/console/setup", data={"account": "x"})).status_code == 404
    assert said in found(page)
    assert [call.bucket for _, call in upstream.calls] == ["GET /user"]


async def test_the_page_says_which_limits_are_set_and_which_are_in_force(redis: Redis) -> None:
    """What Sailthru's answers or an operator have changed is told from what is set."""
    async with browser(redis, LIMITS="POST /event=30") as http:
        before = rows((await http.get("/console/setup")).text)
        limiter = Limiter(RedisSlotStore(redis), {})
        await limiter.set_limit("default", "POST /event", 12.5)
        after = rows((await http.get("/console/setup")).text)
    assert before["POST /event"] == ["Events", "30", "30", "The setting LIMITS", "0"]
    assert before["POST /user"][2:4] == [before["POST /user"][1], "Sailthru&#39;s default"]
    assert after["POST /event"] == ["Events", "30", "12.5", "Set by an operator", "0"]


async def test_the_page_says_who_may_open_the_console(redis: Redis) -> None:
    """Without a password this machine alone."""
    async with browser(redis) as http:
        assert "it answers this machine alone" in (await http.get("/console/setup")).text
    async with browser(redis, **PASSWORDS) as http:
        await http.post("/console/login", data={"password": "battery staple"})
        assert "asks for a password" in (await http.get("/console/setup")).text


def rows(page: str) -> dict[str, list[str]]:
    """The table of limits: call -> its cells."""
    table = page[page.index('<h2 id="limits">') :].partition("</table>")[0]
    found = [
        [re.sub(r"<[^>]+>", "", one) for one in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in table.split("<tr>")[2:]
    ]
    return {name: cells for name, *cells in found}


async def test_a_dry_run_asks_nothing_and_says_so(redis: Redis) -> None:
    """Its calls are answered by nobody: a wrong key would look right."""
    upstream = Asked(NotAsked("never asked", 1))
    live = {"API_KEY": "k", "API_SECRET": "s", "DRY_RUN": "true"}
    async with browser(redis, upstream, **live) as http:
        page = (await http.post("/console/setup", data={})).text
    assert "look at this: Default credentials: not asked: DRY_RUN sends nothing" in found(page)
    assert upstream.calls == []


@pytest.mark.parametrize(("tokens", "said"), [({}, False), ({"CONSOLE_TOKEN": "t" * 40}, True)])
async def test_who_may_see_the_console_is_said_whole(
    redis: Redis, tokens: dict[str, str], said: bool
) -> None:
    """A token opens it to other machines."""
    async with browser(redis, **tokens) as http:
        page = (await http.get("/console/setup")).text
    assert "no password is set" in page
    assert ("and whoever shows a token" in page) is said


async def test_a_setting_is_shown_in_figures_that_people_write(redis: Redis) -> None:
    """A month in seconds is no 2.592e+06."""
    async with browser(redis) as http:
        page = (await http.get("/console/setup")).text
    assert "2592000" in page
    assert "e+06" not in page
