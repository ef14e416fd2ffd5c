"""The stand-in for Sailthru: what it answers, keeps and counts."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from benchmarks.stand_in import Profiles
from benchmarks.world import ROOT, StandIn
from pipeline.sailthru.signing import signed


def _form(**params: Any) -> bytes:
    return urlencode(signed(params, "bench", "bench")).encode()


@contextmanager
def _running(*words: str) -> Iterator[tuple[StandIn, http.client.HTTPConnection]]:
    """A stand-in in a process of its own, and one connection to it."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "benchmarks.stand_in", "--answer-ms", "5", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            yield StandIn(port, process.pid), connection
            connection.close()
        finally:
            process.terminate()


def _call(connection: http.client.HTTPConnection, method: str, path: str, body: bytes) -> Any:
    connection.request(method, path, body)
    answer = connection.getresponse()
    assert answer.status == 200
    return json.loads(answer.read())


def test_calls_over_one_connection_are_answered_counted_and_kept_with_their_times() -> None:
    with _running("--record") as (stand_in, connection):
        for user in ("u1", "u2"):
            assert _call(connection, "POST", "/user", _form(id=user)) == {"ok": True}
        sock = connection.sock
        assert "keys" in _call(connection, "GET", f"/user?{_form(id='u1').decode()}", b"")
        assert connection.sock is sock
        times, said = stand_in.times(), stand_in.said()
        stand_in.forget()
        assert stand_in.times() == {}
    assert {bucket: len(found) for bucket, found in times.items()} == {
        "POST /user": 2,
        "GET /user": 1,
    }
    assert [call[0] for call in said] == ["POST", "POST", "GET"]
    assert [call[3] for call in said] == [*times["POST /user"], *times["GET /user"]]


def test_a_cart_is_read_back_by_email_and_by_id_and_is_empty_after_an_order() -> None:
    profiles, items = Profiles(), [{"id": "p-1", "qty": 1}]
    email = "u1@example.com"
    profiles.answer("POST", "/purchase", _form(email=email, items=items, incomplete=1))
    for wanted in (email, "u1"):
        shown = json.loads(profiles.answer("GET", f"/user?{_form(id=wanted).decode()}", b""))
        assert shown["purchase_incomplete"]["items"] == items
    profiles.answer("POST", "/purchase", _form(email=email, items=items))
    assert profiles.carts[email] == []


def test_vars_of_later_identifies_replace_those_of_earlier_ones_by_name() -> None:
    profiles = Profiles()
    profiles.answer("POST", "/user", _form(id="u1", vars={"a": 1, "b": 1}))
    profiles.answer("POST", "/user", _form(id="u1", vars={"b": 2}))
    assert profiles.vars["u1"] == {"a": 1, "b": 2}
