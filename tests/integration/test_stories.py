"""The main stories of tests/web/test_stories.py, told by command line and by HTTP: a whole `up`, and nothing but its faces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import httpx
import pytest

from tests.support.commands import wait_until
from tests.support.installation import Installation, installed

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

TEA = {"product_id": "t", "name": "Tea", "price": 4.5, "quantity": 1, "url": "https://h.example/t"}
EMAIL = "ann@shop.example.com"
PRICE = "properties.products.*.price"
MANY = 120
RATE = 2
"""Letters a second of the job that is stopped: a command takes some seconds where other tests run, and it must not end before."""
Json = dict[str, Any]


class Face(Protocol):
    """What a person, or a program in their place, can ask for; each method is one act of the face."""

    def send(self, *events: Json) -> None: ...
    def trace(self, identity: str) -> Json: ...
    def preview(self, letter: str, email: str) -> str: ...
    def edit(self, letter: str, email: str) -> None: ...
    def send_again(self, letter: str) -> None: ...
    def groups(self, text: str) -> list[Json]: ...
    def fix(self, group: Json, price: float, *, dry_run: bool) -> tuple[int, str]: ...
    def send_all_again(self, group: Json, why: str, rate: float = ...) -> str: ...
    def job(self, identity: str) -> Json: ...
    def change_job(self, verb: str, identity: str) -> None: ...
    def acts(self) -> list[Json]: ...


class ByCommand:
    """The face of a terminal: `sailpipe` as a process of its own, each time."""

    def __init__(self, shop: Installation) -> None:
        self._shop = shop

    def send(self, *events: Json) -> None:
        self._shop.enqueue(*events)

    def trace(self, identity: str) -> Json:
        found: Json = json.loads(self._shop.run("trace", identity, "--json").stdout)
        return found

    def preview(self, letter: str, email: str) -> str:
        return self._says("dead", "edit", letter, "--set", f"properties.email={email}", "--dry-run")

    def edit(self, letter: str, email: str) -> None:
        self._says("dead", "edit", letter, "--set", f"properties.email={email}", "--yes")

    def send_again(self, letter: str) -> None:
        assert "Replayed: 1." in self._says("dead", "replay", letter, "--yes")

    def groups(self, text: str) -> list[Json]:
        return self._rows("dead", "stats", "--match", text)

    def fix(self, group: Json, price: float, *, dry_run: bool) -> tuple[int, str]:
        words = ("dead", "fix", "--group", group["fingerprint"], "--set", f"{PRICE}={price}")
        done = self._shop.run(*words, "--dry-run" if dry_run else "--yes")
        assert done.returncode == 0, done.stderr
        said = f"{'Would be changed' if dry_run else 'Changed'}: "
        return int(done.stderr.rpartition(said)[2].partition(".")[0]), done.stdout

    def send_all_again(self, group: Json, why: str, rate: float = RATE) -> str:
        words = ("--job", "--rate", str(rate), "--why", why, "--yes")
        said = self._says("dead", "replay", "--group", group["fingerprint"], *words)
        return said.partition("Job ")[2].partition(":")[0]

    def job(self, identity: str) -> Json:
        return next(one for one in self._rows("dead", "jobs") if one["id"] == identity)

    def change_job(self, verb: str, identity: str) -> None:
        self._says("dead", "jobs", verb, identity)

    def acts(self) -> list[Json]:
        return self._rows("dead", "audit")

    def _says(self, *words: str) -> str:
        done = self._shop.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _rows(self, *words: str) -> list[Json]:
        return [json.loads(line) for line in self._says(*words, "--json").splitlines()]


class ByHttp:
    """The face of a program: the API, and the way in beside it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def send(self, *events: Json) -> None:
        body = {"batch": list(events)}
        self._http.post("/v1/batch", json=body, auth=("sandbox", "")).raise_for_status()

    def trace(self, identity: str) -> Json:
        return self._get(f"/api/trace/{identity}")

    def preview(self, letter: str, email: str) -> str:
        return json.dumps(self._edit(letter, email, dry_run=True))

    def edit(self, letter: str, email: str) -> None:
        assert self._edit(letter, email, dry_run=False)["changed"]

    def send_again(self, letter: str) -> None:
        assert self._post("/api/dead/replay", {"ids": [letter]})["replayed"] == 1

    def groups(self, text: str) -> list[Json]:
        return list(self._get("/api/dead/stats", match=text)["groups"])

    def fix(self, group: Json, price: float, *, dry_run: bool) -> tuple[int, str]:
        body = {**_meant(group), "set": {PRICE: price}, "dry_run": dry_run}
        found = self._post("/api/dead/fix", body)
        return (found["letters"] if dry_run else found["changed"]), json.dumps(found)

    def send_all_again(self, group: Json, why: str, rate: float = RATE) -> str:
        body = {**_meant(group), "rate": rate, "why": why}
        return str(self._post("/api/dead/replay", body)["job"]["id"])

    def job(self, identity: str) -> Json:
        return self._get(f"/api/jobs/{identity}")

    def change_job(self, verb: str, identity: str) -> None:
        self._post(f"/api/jobs/{identity}/{verb}", {})

    def acts(self) -> list[Json]:
        return list(self._get("/api/dead/audit")["acts"])

    def _edit(self, letter: str, email: str, *, dry_run: bool) -> Json:
        body = {"set": {"properties.email": email}, "dry_run": dry_run}
        return _checked(self._http.patch(f"/api/dead/{letter}", json=body))

    def _get(self, path: str, **asked: str) -> Json:
        return _checked(self._http.get(path, params=asked))

    def _post(self, path: str, body: Mapping[str, Any]) -> Json:
        return _checked(self._http.post(path, json=body))


def _meant(group: Json) -> Json:
    return {"filter": {"group": group["fingerprint"]}, "count": group["letters"]}


def _checked(reply: httpx.Response) -> Json:
    assert reply.status_code == 200, reply.text
    found: Json = reply.json()
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One `up` against the sandbox, in which orders wait a second for an email."""
    waits = {"SAILPIPE_EMAIL_WAIT": "1s", "SAILPIPE_USER_WAIT": "1s"}
    with installed(tmp_path_factory.mktemp("stories"), **waits) as found:
        yield found


@pytest.fixture(params=["by command", "by HTTP"])
def face(shop: Installation, request: pytest.FixtureRequest) -> Iterator[Face]:
    if request.param == "by command":
        yield ByCommand(shop)
        return
    with httpx.Client(base_url=f"http://127.0.0.1:{shop.port}", trust_env=False) as http:
        yield ByHttp(http)


def order(number: str, user: str, **fields: Any) -> Json:
    event = {
        "type": "track",
        "event": "Order Completed",
        "userId": user,
        "messageId": f"m-{number}",
    }
    return event | {"properties": {"order_id": number, "products": [TEA], "total": 4.5, **fields}}


def test_an_order_without_an_email_is_found_given_one_and_seen_delivered(face: Face) -> None:
    """By its number; the preview shows the call before anything is written, and the trace both lives."""
    number = f"1004-{type(face).__name__}"
    face.send(order(number, f"u-{number}"))

    def last() -> Json:
        events = face.trace(number)["events"]
        return dict(events[-1]) if events else {"fate": None}

    wait_until(lambda: last()["fate"] == "dead", "the order is a letter")
    found = last()
    letter = found["letter"]["id"]
    assert (found["reason"], found["user"]) == ("missing_email", f"u-{number}")
    shown = face.preview(letter, EMAIL)
    assert EMAIL in shown
    assert "/purchase" in shown
    assert last()["letter"], "a preview writes nothing"
    face.edit(letter, EMAIL)
    face.send_again(letter)
    wait_until(lambda: last()["fate"] == "delivered", "the order is delivered")
    assert last()["letter"] is None
    [act] = [one for one in face.acts() if one["verb"] == "edit" and letter in one["what"]]
    assert act["what"] == f"letter {letter}: set properties.email"


def test_a_group_is_fixed_and_sent_again_with_progress_paused_resumed_and_stopped(
    face: Face,
) -> None:
    """What is left by the stop is where it was, with its new price, and a second job delivers it."""
    name = type(face).__name__
    bad = [{**TEA, "price": f"free {name}"}]
    mail = {"context": {"traits": {"email": EMAIL}}}
    face.send(*(order(f"7{n:03}-{name}", f"{name}-{n}", products=bad) | mail for n in range(MANY)))

    def dead(text: str) -> int:
        return sum(one["letters"] for one in face.groups(text))

    wait_until(lambda: dead(f"free {name}") == MANY, "they are letters")
    [group] = face.groups(f"free {name}")
    would, diff = face.fix(group, 4.5, dry_run=True)
    assert (would, dead(f"free {name}")) == (MANY, MANY), "it counts, and writes nothing"
    assert f'price: "free {name}"' in diff.replace("\\", "")
    assert face.fix(group, 4.5, dry_run=False)[0] == MANY
    assert dead(f"free {name}") == 0
    job = face.send_all_again(group, f"mended {name}")
    wait_until(lambda: face.job(job)["sent"] > 0, "the job goes on")
    face.change_job("pause", job)
    paused = face.job(job)
    assert (paused["state"], paused["total"]) == ("paused", MANY)
    face.change_job("resume", job)
    wait_until(lambda: face.job(job)["sent"] > paused["sent"], "it goes on where it was")
    assert face.job(job)["ends_at"]
    face.change_job("stop", job)
    stopped = face.job(job)
    assert (stopped["state"], stopped["why"]) == ("stopped", f"mended {name}")
    assert 0 < stopped["sent"] < MANY
    [rest] = face.groups(f"-{name}")
    assert rest["letters"] == MANY - stopped["sent"]
    again = face.send_all_again(rest, f"the rest of {name}", rate=1_000)
    wait_until(lambda: face.job(again)["state"] == "done", "the rest is sent")
    wait_until(lambda: not dead(f"-{name}"), "no letter is left")
    last = f"7{MANY - 1:03}-{name}"
    wait_until(lambda: face.trace(last)["events"][-1]["fate"] == "delivered", "it is delivered")
    why = {one["why"] for one in face.acts() if one["verb"] == "replay"}
    assert {f"mended {name}", f"the rest of {name}"} <= why
