"""The console over ASGI and a real Redis: every page, every act, and what must not happen on either."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pipeline.addresses import SANDBOX_FILE
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.filters import Filter
from pipeline.deadletters.store import DeadLetters
from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.gates.gates import Gates
from pipeline.guard.tries import MAX_TRIES
from pipeline.storage import keys
from pipeline.verbs.acts import record_act
from pipeline.verbs.pausing import redis_now_ms
from tests.support.console import browser
from tests.support.letters import Pipeline, order, track
from tests.support.redis_server import free_port

PASSWORD, READ_PASSWORD = "correct horse", "battery staple"
HOSTILE = "<img src=x onerror=alert(1)>\u202e{{ 7*7 }}"
PRIVATE_WORDS = re.compile(
    r"dead.?letter|fingerprint|mailbox|\breplay|\bdrop|throttled|\bcircuit|overtaken|\blanes?\b|\bgates?\b|\breleased?\b"
    r"|\bpurchases?\b|\bpoison|\bsettle|\blease"
)
CODE = re.compile(
    r'<(code|pre|textarea|option)\b.*?</\1>|<(\w+)[^>]* class="code".*?</\2>', re.DOTALL
)
"""What pages show as code keeps its words: reason codes, settings, commands."""
PAGES = (
    "/console",
    "/console/counts",
    "/console/waiting",
    "/console/waiting?for=email",
    "/console/waiting/release?for=email",
    "/console/waiting/drop?for=email",
    "/console/problems",
    "/console/dead",
    "/console/dead/m1",
    "/console/resend?id=m1",
    "/console/resend?reason=rejected",
    "/console/discard?id=m1",
    "/console/lanes/user/pause",
    "/console/lanes/account/pause",
    "/console/try",
    "/console/setup",
    "/console/edit?id=m1",
    "/console/activity",
    "/console/help",
    "/console/fix?reason=rejected",
    "/console/dead?lane=purchase&since=2h",
    "/console/waiting?lane=purchase&for=gate",
    "/console/waiting?lane=purchase&for=email",
    "/console/people",
    "/console/people?q=nothing-like-this",
    "/console/people/u1",
    "/console/forget?user=u1",
    "/console/events/m1",
)


async def everything(redis: Redis) -> dict[bytes, bytes | None]:
    """What is in Redis, but for the cached counts of people, which PFCOUNT writes, and the lease of who splits, which ends
    by itself."""
    passing = (b":people:", keys.SPLITTER.encode())
    names = [name async for name in redis.scan_iter() if not any(one in name for one in passing)]
    return {name: await redis.dump(name) for name in names}


async def test_the_address_of_the_server_leads_to_the_console(http: httpx.AsyncClient) -> None:
    """What a newcomer types is host and port."""
    assert (await http.get("/")).headers["location"] == "/console"


async def test_every_page_is_shown_and_changes_nothing(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """GET is for looking: crawlers, previews and prefetching browsers do it, too."""
    await pipeline.kill(track(1))
    before = await everything(redis)
    for path in PAGES:
        reply = await http.get(path)
        assert reply.status_code == 200, path
        assert reply.text.count("<h1") == 1, path
    assert await everything(redis) == before


async def test_pages_link_only_to_pages_that_exist(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """From every page, every link and every form that is sent by GET."""
    await pipeline.kill(track(1))
    seen = set()
    for path in PAGES:
        text = (await http.get(path)).text
        seen |= set(re.findall(r'href="(/[^"]*)"', text)) | set(re.findall(r'src="(/[^"]*)"', text))
        assert re.findall(r'(?:href|src|action)="(?!/)[^"#]', text) == []
    for link in seen:
        assert (await http.get(link.replace("&amp;", "&"))).status_code in {200, 303}, link


async def test_pages_say_things_in_the_consoles_words(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """With a letter of every reason, what waits, a pause, a re-send, a receipt, and acts of the command line. The table of
    words, on the page Help, has both."""
    for number, reason in enumerate(Reason, start=1):
        await pipeline.kill(track(number), reason=reason)
    await pipeline.send(order(91, "w1"))
    await pipeline.split()
    await pipeline.wait_for_email("w1")
    await http.post("/console/lanes/purchase/pause", data={"reason": "known"})
    await http.post("/console/resend", data={"lane": "event", "count": "15", "token": "f" * 32})
    for verb in ("replay", "drop", "edit and replay", "mark"):
        await record_act(pipeline.redis, "default", Act("ann", verb, "all dead letters", 1))
    groups = (await http.get("/api/dead/stats")).json()["groups"]
    letters = [f"/console/dead/m{number}" for number in range(1, len(Reason) + 1)]
    problems = [f"/console/problems/{one['fingerprint']}" for one in groups]
    digest = re.search(
        r'name="digest" value="(\w+)"', (await http.get("/console/forget?user=u2")).text
    )
    assert digest is not None
    form = {"user": "u2", "typed": "u2", "digest": digest[1]}
    receipt = (await http.post("/console/forget", data=form)).headers["location"]
    more = (
        *("/console/dead/nothing", "/console/problems/nothing", "/console/resend"),
        *(
            "/console/resend?lane=purchase",
            "/console/discard?lane=event",
            "/console/fix?lane=event",
        ),
        *("/console/people/w1", "/console/events/m91", f"/console/resends/{'f' * 32}", receipt),
    )
    said = {path: (await http.get(path)).text for path in (*PAGES, *letters, *problems, *more)}
    fixing = {"lane": "event", "kind0": "set", "path0": "properties.x", "value0": "1"}
    editing = {"id": "m1", "event": json.dumps(track(1))}
    for path, data in (("fix", fixing), ("edit", editing), ("why", {"user": "w1"})):
        said[f"POST {path}"] = (await http.post(f"/console/{path}", data=data)).text
    said["a refusal"] = (await http.post("/console/resend", data={"lane": "event"})).text
    async with browser(pipeline.redis, CONSOLE_PASSWORD=PASSWORD) as outside:
        said["login"] = (await outside.get("/console/login")).text
    del said["/console/help"]
    assert {path: found for path, text in said.items() if (found := private_words(text))} == {}


def private_words(page: str) -> list[str]:
    """What a person reads of a page, and what an aid reads out, that is no code and not in the console's words."""
    text = CODE.sub("", page)
    labels = " ".join(re.findall(r'(?:aria-label|title|placeholder)="([^"]*)"', text))
    return PRIVATE_WORDS.findall(f"{re.sub(r'<[^>]+>', '', text)} {labels}".casefold())


async def test_an_empty_console_says_what_to_do_first(http: httpx.AsyncClient) -> None:
    """Zero is a sentence."""
    page = (await http.get("/console")).text
    assert "Nothing has arrived yet" in page
    assert "curl -u sandbox: http://localhost:8000/v1/identify" in page
    assert "No worker is running" in page
    problems = (await http.get("/console/problems")).text
    assert "Everything that arrived was delivered, is waiting its turn" in problems


async def test_what_an_event_holds_is_text_wherever_it_is_shown(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Names, ids, messages, fields: no tag, no template, and no way to turn the text around it."""
    event = {**track(1), "event": HOSTILE, "userId": HOSTILE, "properties": {HOSTILE: HOSTILE}}
    await pipeline.kill(event, detail=HOSTILE)
    letter = "/console/dead/m1"
    found = await DeadLetters(pipeline.redis, "default").find(Filter(), limit=1)
    problem = f"/console/problems/{found[0].header.fingerprint}"
    for path in (
        "/console",
        "/console/problems",
        problem,
        "/console/dead",
        letter,
        "/console/resend?id=m1",
    ):
        text = (await http.get(path)).text
        assert "<img" not in text, path
        assert "7*7" in text, path
        assert "\u202e" not in text, path
    tried = await http.post("/console/try", data={"event": json.dumps(event)})
    assert "<img" not in tried.text
    notice = await http.get("/console", params={"notice": HOSTILE})
    assert "<img" not in notice.text


async def test_a_letter_is_found_shown_and_sent_again(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """By its messageId, or by what is in it; what is shown is what is sent."""
    order = {**track(1), "properties": {"order_id": "10045"}}
    await pipeline.kill(order, reason=Reason.MISSING_EMAIL)
    for text in ("m1", "10045"):
        found = (await http.get(f"/console/people?q={text}")).headers["location"]
        assert found == "/console/events/m1"
    assert "/console/dead/m1" in (await http.get(found)).text
    page = (await http.get("/console/dead/m1")).text
    assert "it has no e-mail address" in page
    assert "An order is sent by itself when the customer signs in; or add the address" in page
    done = await http.post("/console/resend", data={"id": "m1", "count": "1"})
    assert (done.status_code, done.headers["location"]) == (
        303,
        "/console/dead?notice=Sent+again.",
    )
    assert await DeadLetters(redis, "default").count(Filter()) == 0
    again = await http.post("/console/resend", data={"id": "m1", "count": "1"})
    assert again.status_code == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"count": "1"}, 400),
        ({"count": "1", "reason": ""}, 400),
        ({"reason": "rejected"}, 400),
        ({"reason": "rejected", "count": "x"}, 400),
        ({"reason": "rejected", "count": "2"}, 400),
        ({"id": "m1", "reason": "rejected", "count": "1"}, 400),
        ({"reason": "nonsense", "count": "9"}, 400),
        ({"reason": "rejected", "count": "9", "account": "x"}, 404),
    ],
)
@pytest.mark.parametrize("verb", ["resend", "discard"])
async def test_an_act_that_does_not_say_what_it_means_does_nothing(
    http: httpx.AsyncClient, pipeline: Pipeline, verb: str, form: dict[str, str], status: int
) -> None:
    """An empty filter, or one that means more by now than was shown."""
    await pipeline.kill(track(1), track(2), track(3))
    reply = await http.post(f"/console/{verb}", data=form)
    assert reply.status_code == status
    assert await DeadLetters(pipeline.redis, "default").count(Filter()) == 3


async def test_what_a_filter_means_is_sent_again_as_a_job(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """Once for each form, however often its button is pressed; it can be paused, resumed and stopped."""
    await pipeline.kill(track(1), track(2))
    page = (await http.get("/console/resend?reason=rejected")).text
    token = re.search(r'name="token" value="(\w+)"', page)
    assert token is not None
    form = {"reason": "rejected", "count": "2", "token": token[1], "first": "on", "why": "mended"}
    where = {(await http.post("/console/resend", data=form)).headers["location"] for _ in range(2)}
    assert where == {f"/console/resends/{token[1]}"}
    path = where.pop()
    assert "mended" in (await http.get(path)).text
    for verb, words in (("pause", "paused"), ("resume", "sending"), ("stop", "stopped")):
        assert (await http.post(f"{path}/{verb}")).headers["location"] == path
        assert words in (await http.get(path)).text
    assert await DeadLetters(pipeline.redis, "default").count(Filter()) == 2
    activity = (await http.get("/console/activity")).text
    assert activity.count("reason rejected") == 2
    assert (await http.get("/console/resends/nothing")).status_code == 404


async def test_an_order_is_given_its_email_previewed_saved_and_sent(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline
) -> None:
    """The audit trail names the field, and not the address."""
    order = {
        **track(1),
        "event": "Order Completed",
        "properties": {
            "order_id": "10045",
            "products": [
                {
                    "product_id": "t",
                    "name": "Tea",
                    "price": 4.5,
                    "quantity": 1,
                    "url": "https://h/t",
                }
            ],
        },
    }
    await pipeline.kill(order, lane=Lane.PURCHASE, reason=Reason.MISSING_EMAIL)
    page = (await http.get("/console/edit?id=m1")).text
    assert "The e-mail address that it lacks" in page
    form = {"id": "m1", "event": json.dumps(order), "email": "ann@example.com"}
    shown = (await http.post("/console/edit", data=form)).text
    assert "properties.email: &#34;ann@example.com&#34;" in shown
    assert "POST /purchase" in shown
    assert b"ann@example.com" not in (await DeadLetters(redis, "default").get("m1")).raw
    saved = await http.post("/console/save", data=form)
    assert saved.headers["location"] == "/console/dead/m1?notice=Saved."
    assert b"ann@example.com" in (await DeadLetters(redis, "default").get("m1")).raw
    form["event"] = json.dumps(
        {**order, "properties": {**order["properties"], "email": "ann@example.com"}}
    )
    sent = await http.post("/console/save", data={**form, "send": "1"})
    assert "sent+again" in sent.headers["location"]
    await pipeline.split()
    assert await DeadLetters(redis, "default").count(Filter()) == 0
    acts = await AuditTrail(redis, "default").latest(9)
    assert [act.verb for act in acts] == ["edit and replay", "edit"]
    assert acts[1].what == "m1: properties.email"


@pytest.mark.parametrize("event", ["", "{", "[]", "7", '{"a": "' + "x" * 40_000 + '"}'])
async def test_an_edit_that_is_no_event_is_not_written(
    http: httpx.AsyncClient, redis: Redis, pipeline: Pipeline, event: str
) -> None:
    """The letter stays as it was."""
    await pipeline.kill(track(1))
    before = (await DeadLetters(redis, "default").get("m1")).raw
    form = {"id": "m1", "event": event}
    assert (await http.post("/console/save", data=form)).status_code == 400
    assert (await http.post("/console/edit", data=form)).status_code in {200, 400}
    assert (await DeadLetters(redis, "default").get("m1")).raw == before


async def test_a_problem_is_acknowledged_ignored_and_opened_again(
    http: httpx.AsyncClient, pipeline: Pipeline
) -> None:
    """The list shows open ones first."""
    await pipeline.kill(track(1))
    (found,) = await DeadLetters(pipeline.redis, "default").find(Filter(), limit=1)
    path = f"/console/problems/{found.header.fingerprint}"
    assert path in (await http.get("/console/problems")).text
    for state in ("acknowledged", "ignored"):
        await http.post(f"{path}/mark", data={"state": state, "why": "known"})
        assert path not in (await http.get("/console/problems")).text
        assert path in (await http.get(f"/console/problems?state={state}")).text
        assert "known" in (await http.get(path)).text
    back = await http.post(f"{path}/mark", data={"state": "open", "list": "1"})
    assert back.headers["location"] == "/console/problems?notice=Now+open."
    page = (await http.get("/console/problems")).text
    assert ("1 letter in the last 24 hours" in page, "Acknowledge" in page) == (True, True)
    assert path in (await http.get("/console/problems")).text
    assert (await http.post(f"{path}/mark", data={"state": "x"})).status_code == 400
    assert (await http.post("/console/problems/x/mark", data={"state": "open"})).status_code == 404


async def test_letters_are_discarded_by_filter(http: httpx.AsyncClient, pipeline: Pipeline) -> None:
    """With the count that was shown."""
    await pipeline.kill(track(1), track(2))
    form = {"reason": "rejected", "count": "2"}
    assert (await http.post("/console/discard", data=form)).status_code == 303
    assert await DeadLetters(pipeline.redis, "default").count(Filter()) == 0


async def test_a_lane_is_paused_with_a_reason_and_resumed(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """The overview says since when and why, first of all."""
    await http.post("/console/lanes/event/pause", data={"reason": "a bad release"})
    page = (await http.get("/console")).text
    assert "Events: paused by the operator" in page
    assert "a bad release" in page
    await http.post("/console/lanes/event/resume")
    assert await Gates(redis, "default").all_closures(await redis_now_ms(redis)) == []
    assert '<td data-label="What"><bdi>Events</bdi>' in (await http.get("/console/activity")).text
    assert (await http.post("/console/lanes/x/pause")).status_code == 404


async def test_try_it_shows_the_calls_and_keeps_nothing(
    http: httpx.AsyncClient, redis: Redis
) -> None:
    """The example works, and so does nonsense."""
    page = (await http.get("/console/try")).text
    example = re.search(r"<textarea[^>]*>(.*?)</textarea>", page, re.DOTALL)
    assert example is not None
    text = example[1].replace("&#34;", '"')
    assert "POST /purchase" in (await http.post("/console/try", data={"event": text})).text
    for nonsense in ("", "{", "[", "[7]", "null", "x" * 1000):
        reply = await http.post("/console/try", data={"event": nonsense})
        assert reply.status_code in {200, 400}
    assert [name async for name in redis.scan_iter()] == []


async def test_set_up_shows_no_secret(redis: Redis) -> None:
    """Only whether it is set."""
    secret = {
        "API_KEY": "k3y",
        "API_SECRET": "s3cret",
        "WRITE_KEYS": "wr1te",
        "CONSOLE_PASSWORD": PASSWORD,
        "CONSOLE_TOKEN": "t" * 40,
        "ALERT_URL": "https://h/al3rt",
        "REDIS_URL": "redis://:r3dis@h/0",
    }
    async with browser(redis, **secret) as http:
        await http.post("/console/login", data={"password": PASSWORD})
        text = (await http.get("/console/setup")).text
    assert "API_KEY" in text
    for value in ("k3y", "s3cret", "wr1te", PASSWORD, "t" * 40, "al3rt", "r3dis"):
        assert value not in text


async def test_set_up_says_of_a_trial_what_is_the_sandbox_s(redis: Redis, tmp_path: Path) -> None:
    """No key is set, and no call goes to Sailthru: the page must not look as if."""
    trial = {"DATA_DIR": str(tmp_path), "WRITE_KEYS": "mine"}
    async with browser(redis, **trial) as http:
        stopped = (await http.get("/console/setup")).text
        (tmp_path / SANDBOX_FILE).write_text("http://127.0.0.1:4711\n")
        text = (await http.get("/console/setup")).text
    assert stopped.count("the sandbox&#39;s, which does not run") == 2
    for page in (stopped, text):
        assert "sailthru.com" not in page.replace("https://docs", "")
        for name in ("API_KEY", "API_SECRET", "CUSTOMER_ID"):
            assert re.search(rf">{name}</td>\s*<td[^>]*>(<bdi>)?not set: the sandbox", page), name
        assert re.search(r">WRITE_KEYS</td>\s*<td[^>]*>(<bdi>)?set<", page)
    assert text.count("http://127.0.0.1:4711") == 2


async def test_the_log_in_leads_back_and_nowhere_else(redis: Redis) -> None:
    """A link in a mail could name another site."""
    async with browser(redis, CONSOLE_PASSWORD=PASSWORD) as http:
        for target, leads in (
            ("/console/dead?reason=rejected", "/console/dead?reason=rejected"),
            ("https://evil.example/", "/console"),
            ("//evil.example/console", "/console"),
            ("/console//evil.example", "/console"),
            ("/console/\\evil", "/console"),
            ("/consolex", "/console"),
            ("/console/\r\nSet-Cookie: a=b", "/console"),
            ("", "/console"),
        ):
            form = {"password": PASSWORD, "next": target}
            assert (await http.post("/console/login", data=form)).headers["location"] == leads
        await http.post("/console/logout")
        assert (await http.get("/console")).status_code == 303


async def test_after_five_wrong_passwords_even_the_right_one_waits(redis: Redis) -> None:
    """And says how long."""
    async with browser(redis, CONSOLE_PASSWORD=PASSWORD) as http:
        for _ in range(MAX_TRIES):
            assert (await http.post("/console/login", data={"password": "x"})).status_code == 401
        reply = await http.post("/console/login", data={"password": PASSWORD})
        assert (reply.status_code, reply.headers["retry-after"]) == (429, "30")
        assert (await http.get("/console")).status_code == 303


async def test_who_may_only_read_sees_everything_and_changes_nothing(
    redis: Redis, pipeline: Pipeline
) -> None:
    """Each form of each page, sent all the same."""
    await pipeline.kill(track(1))
    settings = {"CONSOLE_PASSWORD": PASSWORD, "CONSOLE_READ_PASSWORD": READ_PASSWORD}
    async with browser(redis, **settings) as http:
        await http.post("/console/login", data={"password": READ_PASSWORD})
        before = await everything(redis)
        for path in PAGES:
            reply = await http.get(path)
            assert reply.status_code == 200
            assert "read-only" in reply.text
        acts = "resend discard save fix/apply lanes/user/pause lanes/user/resume resends/x/stop"
        acts += " waiting/drop waiting/release try/send views views/delete forget"
        for path in (*acts.split(), "problems/0123456789ab/mark"):
            form = {"id": "m1", "count": "1"}
            assert (await http.post(f"/console/{path}", data=form)).status_code == 403
        assert await everything(redis) == before


async def test_fields_of_redact_are_masked_on_every_page(redis: Redis, pipeline: Pipeline) -> None:
    """In what came and in what would be sent."""
    event = {**track(1), "properties": {"phone": "+49 30 123"}}
    await pipeline.kill(event)
    async with browser(redis, REDACT="phone") as http:
        for path in ("/console/dead", "/console/dead/m1", "/console/resend?id=m1"):
            assert "+49" not in (await http.get(path)).text
        assert "•••" in (await http.get("/console/dead/m1")).text
        assert (
            "+49" in (await http.get("/console/edit?id=m1")).text
        )  # what is edited is what is sent
    logs_in = {"CONSOLE_PASSWORD": PASSWORD, "CONSOLE_READ_PASSWORD": READ_PASSWORD}
    async with browser(redis, REDACT="phone", **logs_in) as http:
        await http.post("/console/login", data={"password": READ_PASSWORD})
        for reply in (
            await http.get("/console/edit?id=m1"),
            await http.post("/console/edit", data={"id": "m1"}),
        ):
            assert (reply.status_code, "+49" in reply.text) == (403, False)


async def test_without_redis_each_page_says_so() -> None:
    """No page is a stack trace."""
    async with (
        Redis(port=free_port(), retry=Retry(NoBackoff(), 0)) as nowhere,
        browser(nowhere) as http,
    ):
        for path in ("/console", "/console/problems", "/console/dead/m1"):
            reply = await http.get(path)
            assert reply.status_code == 503
            assert "This did not work" in reply.text


async def test_colours_are_kept_in_a_cookie(http: httpx.AsyncClient) -> None:
    """So that the first paint is right, without a script."""
    await http.post("/console/theme", data={"theme": "dark", "next": "/console/help"})
    assert 'data-theme="dark"' in (await http.get("/console/help")).text
    await http.post("/console/theme", data={"theme": '"><script>', "next": ""})
    assert 'data-theme="dark"' in (await http.get("/console/help")).text
    assert keys.CONSOLE_KEY == "sailpipe:console:key"


@pytest.mark.parametrize(
    ("settings", "badge"),
    [
        ({}, '<span class="badge sandbox">sandbox</span>'),
        ({"API_KEY": "k", "API_SECRET": "s"}, '<span class="badge live">live</span>'),
        ({"API_KEY": "k", "API_SECRET": "s", "DRY_RUN": "on"}, '"badge dry-run">dry run</span>'),
    ],
)
async def test_each_page_says_where_the_calls_of_its_account_go(
    redis: Redis, settings: dict[str, str], badge: str
) -> None:
    """An account that only writes its calls down is not live."""
    async with browser(redis, **settings) as http:
        assert badge in (await http.get("/console/help")).text
