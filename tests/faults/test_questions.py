"""docs/operating.md on a system that is broken: one command, and what it prints names the cause.

One real `sailpipe up` for all; each test breaks it in one way and mends it. The commands that the page names are run as
processes, and each must answer within seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from pipeline.cli.dead_options import person
from pipeline.lanes import Lane
from tests.support.commands import running, wait_until
from tests.support.installation import Installation, command_in, installed
from tests.support.redis_server import RedisServer, free_port
from tests.support.redis_states import (
    full,
    read_only,
    with_password,
    without_disk,
    without_replicas,
)

SETTINGS = {
    "SAILPIPE_DEAD_MAX": "20",
    "SAILPIPE_HTTP_TIMEOUT": "2s",
    "SAILPIPE_RETRY_FIRST": "0.2s",
    "SAILPIPE_RETRY_MAX": "1s",
}
LETTERS = 30

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("shop"), **SETTINGS) as found:
        yield found


@pytest.fixture
def _mended(shop: Installation) -> Iterator[None]:
    """What a test broke at the sandbox is mended, and all gates are open."""
    yield
    shop.sandbox("DELETE", "faults")
    shop.sandbox("POST", "options", {"api_secret": "sandbox"})
    shop.run("resume", "--try-now")
    shop.wait_for("Delivering; ", "status", "--check")


@contextmanager
def traffic(shop: Installation, number: int = 0) -> Iterator[Callable[[], None]]:
    """Yields what sends some more: orders, custom events and profiles of eight people."""

    def send() -> None:
        nonlocal number
        number += 1
        shop.enqueue(*(one for n in range(8) for one in of_person(f"{number}-{n}")))

    yield send


def of_person(name: str) -> list[dict[str, Any]]:
    """Who they are, what they did, what they bought."""
    email = f"p{name}@shop.example"
    item = {
        "product_id": "p1",
        "name": "Tea",
        "price": 4,
        "quantity": 1,
        "url": "https://s.example/",
    }
    bought = {"order_id": f"o-{name}", "total": 4, "email": email, "products": [item]}
    return [
        {"type": "identify", "userId": name, "traits": {"email": email}},
        {"type": "track", "userId": name, "event": "Registered", "messageId": f"m-{name}"},
        {"type": "track", "userId": name, "event": "Order Completed", "properties": bought},
    ]


def test_all_is_well(shop: Installation) -> None:
    """The first line says who works on it, and no person is needed."""
    done = shop.run("status", "--check")
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("Delivering; 1 worker on ")


@pytest.mark.usefixtures("_mended")
def test_one_endpoint_is_down(shop: Installation) -> None:
    """The lane and the cause stand in the first line, the next try in a line of its own."""
    shop.sandbox("POST", "faults", [{"kind": "5xx", "endpoint": "/purchase"}])
    with traffic(shop) as send:
        send()

        def is_closed() -> bool:
            send()
            return "Closed: POST /purchase" in shop.says("status")

        wait_until(is_closed, "the endpoint's gate closes", 90)
    said = shop.says("status")
    assert "is stopped by an outage since " in said
    first = said.splitlines()[0]
    assert "Delivering all but purchase (Sailthru does not answer)" in first
    assert shop.run("status", "--check").returncode == 0, "it ends by itself"
    assert "waiting for deliveries to go on, which are stopped" in shop.says("waiting")


@pytest.mark.usefixtures("_mended")
def test_sailthru_is_down_and_tried_again_when_a_person_says_so(shop: Installation) -> None:
    shop.sandbox("POST", "faults", [{"kind": "reset"}])
    with traffic(shop, 1_000) as send:
        send()
        said = shop.wait_for("Closed: api is stopped by an outage", "status")
        assert said.startswith("Delivering all but user, event, purchase (Sailthru does not")
        assert ", next try 20" in said
        assert "api is tried with the next event that is due" in shop.says("resume", "--try-now")
        shop.sandbox("DELETE", "faults")
        shop.wait_for("Delivering; ", "status", "--check")


@pytest.mark.usefixtures("_mended")
def test_credentials_are_refused(shop: Installation) -> None:
    """A person is needed, and is told which command says more."""
    shop.sandbox("POST", "options", {"api_secret": "another"})
    with traffic(shop, 2_000) as send:
        send()
        said = shop.wait_for("(Sailthru refuses the account)", "status", "--check")
    assert "api is closed (misconfigured, Sailthru error " in said
    assert shop.run("status", "--check").returncode == 1
    assert "mend SAILPIPE_API_KEY and SAILPIPE_API_SECRET" in shop.says("doctor")


def test_a_lane_is_paused(shop: Installation) -> None:
    """By whom, why, and how it goes on."""
    shop.run("pause", "--lane", "event", "--why", "a bad release")
    said = shop.says("status", "--check")
    assert said.startswith("Delivering all but event (paused); ")
    why = f"event is closed (paused, by {person()}: a bad release): sailpipe resume --lane event"
    assert f"A person is needed: {why}." in said
    shop.run("resume", "--lane", "event")
    acts = shop.says("dead", "audit")
    assert "pause" in acts
    assert "resume" in acts


def test_the_door_refuses(shop: Installation) -> None:
    address = f"http://127.0.0.1:{shop.port}/v1/track"
    event = {"userId": "u", "event": "Registered"}
    for _ in range(7):
        assert httpx.post(address, json=event, auth=("old", ""), trust_env=False).status_code == 401
    shop.wait_for("Requests refused: invalid_write_key 7", "status")
    assert 'sailpipe_requests_refused_total{code="invalid_write_key"} 7' in shop.says("metrics")


def test_letters_die_are_trimmed_found_and_replayed_slowly(shop: Installation) -> None:
    """What died of what and whose fault it is; where a customer's order is; how far a replay is, and how to stop it."""
    broken = [
        {"type": "track", "userId": f"t{n}", "event": "Order Completed", "messageId": f"t{n}",
         "properties": {"order_id": f"t-{n}", "email": f"t{n}@shop.example"}}
        for n in range(LETTERS)
    ]  # fmt: skip
    shop.enqueue(*broken)
    said = shop.wait_for("Trimmed, as there were more than DEAD_MAX: unmappable", "status")
    assert "Dead: " in said
    [group] = [json.loads(line) for line in shop.says("dead", "stats", "--json").splitlines()]
    assert (group["reason"], group["fault"], group["letters"]) == ("unmappable", "data", 20)
    last = f"t{LETTERS - 1}"
    for words in (("trace", last), ("trace", f"t-{LETTERS - 1}"), ("user", f"{last}@shop.example")):
        assert "dead letter: unmappable" in shop.says(*words), words
    shop.run("dead", "replay", "--reason", "unmappable", "--job", "--rate", "0.1", "--yes")
    said = shop.wait_for("Replay ", "status")
    assert "of 20 letters through" in said
    job = json.loads(shop.says("dead", "jobs", "--json").splitlines()[0])
    assert shop.run("dead", "jobs", "stop", job["id"][:8]).returncode == 0
    assert "Replay " not in shop.says("status")


def test_an_order_waits(shop: Installation) -> None:
    """Until when, and for what, by its number and by its person."""
    order = of_person("3-1")[2]
    del order["properties"]["email"]
    order |= {"userId": "stranger", "messageId": "waits"}
    shop.enqueue(order)
    shop.wait_for("waits for an email", "trace", "o-3-1")
    assert "waits for an email" in shop.says("user", "stranger")
    said = shop.says("waiting", "--for", "email")
    assert "waiting for an email" in said
    assert "given up from " in said


def test_only_one_lane_is_served(tmp_path: Path, redis_url: str) -> None:
    """No splitter, and no worker for the others: both are named, and which command starts them."""
    environment = {"SAILPIPE_REDIS_URL": redis_url, "SAILPIPE_API_URL": "http://127.0.0.1:1"}
    environment |= {"SAILPIPE_API_KEY": "key", "SAILPIPE_API_SECRET": "secret"}
    with running("worker", "--lanes", "purchase", directory=tmp_path, **environment):

        def said() -> str:
            return command_in(tmp_path, "status", "--check", **environment).stdout

        missing = "NOBODY serves user, event, page; NO SPLITTER runs; 1 worker on "
        wait_until(lambda: said().startswith(missing), "the worker says that it lives")
        assert "start `sailpipe worker --lanes user`" in said()
        assert "start `sailpipe splitter`" in said()
    assert [*Lane] == ["user", "event", "purchase", "page"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for itself, which may be spoilt."""
    found = RedisServer(tmp_path_factory.mktemp("redis"))
    found.start()
    yield found
    found.stop()


State = Callable[[redis.Redis], AbstractContextManager[None]]
STATES: list[tuple[State, str]] = [
    (full, "redis is closed (redis_full, "),
    (
        read_only,
        "REDIS is a replica, which takes no writes: point SAILPIPE_REDIS_URL at the master",
    ),
    (without_replicas, "REDIS takes no writes without its replicas: bring them back"),
    (without_disk, "cannot write its files and takes no writes until it can: look at its log"),
    (with_password, "refuses the login: put the right user and password into SAILPIPE_REDIS_URL"),
]


@pytest.mark.parametrize(("state", "cause"), STATES, ids=lambda one: getattr(one, "__name__", ""))
def test_redis_is_in_trouble(server: RedisServer, tmp_path: Path, state: State, cause: str) -> None:
    with redis.Redis.from_url(server.url) as admin, state(admin):
        done = command_in(tmp_path, "status", "--check", SAILPIPE_REDIS_URL=server.url)
    assert done.returncode == 1
    assert cause in done.stdout + done.stderr


def test_redis_is_away(tmp_path: Path) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}"
    done = command_in(tmp_path, "status", "--check", SAILPIPE_REDIS_URL=url)
    assert done.returncode == 1
    assert "does not answer: nothing listens there: start `sailpipe up`, or mend" in done.stderr
    assert "secret" not in done.stderr
