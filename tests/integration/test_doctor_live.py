"""`sailpipe doctor --live`: what a stand-in Sailthru answers, beside what is assumed, in both directions."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.checks.check import Verdict
from pipeline.cli.app import run
from pipeline.cli.checks_live import CHECKS, Finding, judged
from pipeline.cli.live_points import POINTS
from pipeline.sandbox.faults import Fault, FaultKind
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.storage import keys

EMAIL = "sailpipe-doctor@example.org"
KEY = "1a2b3c4d5e6f1a2b3c4d5e6f1a2b3c4d"
Ask = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def ask(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logging_as_before: None
) -> Ask:
    """Run the doctor on a sandbox with these options; its lines by the name of the check."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAILPIPE_REDIS_URL", redis_url)
    monkeypatch.setenv("SAILPIPE_READ_LAG", "0.3s")

    def do(*words: str, sandbox: RunningSandbox) -> dict[str, dict[str, Any]]:
        monkeypatch.setenv("SAILPIPE_API_URL", sandbox.url)
        monkeypatch.setenv("SAILPIPE_PAGEVIEW_URL", sandbox.url)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            run(["doctor", "--json", "--live", EMAIL, *words])
        rows = [json.loads(line) for line in out.getvalue().splitlines()]
        return {row["check"].removeprefix("default live: "): row for row in rows}

    return do


def results(rows: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    return {name: rows[name]["result"] for name in CHECKS if name in rows}


def test_each_point_is_asked_and_nothing_is_left_behind(ask: Ask) -> None:
    """The sandbox answers as is assumed, but that it keeps every var name. Calls go through the limits that all share."""
    with running_in_thread(SandboxOptions(customer_id="c")) as sandbox:
        rows = ask("--orders", sandbox=sandbox)
        state = sandbox.app.sandbox.state
        assert [*state.profiles] == []
        assert len(state.purchases) == 3
    assert {*results(rows)} == {*CHECKS}
    wrong = {name for name, result in results(rows).items() if result != "ok"}
    assert wrong - {"read lag"} == {"var names"}, "a busy machine reads late"
    assert "VAR_NAMES=as_is" in rows["var names"]["fix"]
    assert rows["test profile"]["result"] == "ok"


def test_where_sailthru_answers_otherwise_it_says_what_to_change(ask: Ask, redis_url: str) -> None:
    """Events of unknown users are taken, reads lag, any customer id is. Nothing of this is a failure."""
    options = SandboxOptions(unknown_user_on_event=False, lag_s=0.6, limits={"GET /user": 6000})
    with running_in_thread(options) as sandbox:
        rows = ask(sandbox=sandbox)
    found = results(rows)
    assert "same order twice" not in found, "orders are made only when they are asked for"
    wrong = {name for name, result in found.items() if result == "warn"}
    assert wrong >= {"unknown user, event", "read lag", "customer id", "rate headers"}
    assert "SAILPIPE_READ_LAG" in rows["read lag"]["fix"]
    assert "sailpipe limits set" in rows["rate headers"]["fix"]
    assert "Assumed: No longer than READ_LAG" in rows["read lag"]["found"]
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists(keys.slots("default", "POST /user"))


def test_what_sailthru_refuses_is_told_from_what_it_takes(ask: Ask) -> None:
    """An account that takes no purchases, of whom nothing can be deleted: the points are answered all the same."""
    refuses = FaultKind.ERROR_IN_200
    with running_in_thread() as sandbox:
        for method, endpoint in (("POST", "/purchase"), ("DELETE", "/user"), ("GET", "/purchase")):
            sandbox.app.faults.add(Fault(refuses, method, endpoint, code=99))
        rows = ask("--orders", sandbox=sandbox)
    assert "first was refused: HTTP 200, error 99" in rows["same order twice"]["found"]
    assert "Neither confirmed nor refuted" in rows["cart after an order"]["found"]
    assert rows["unknown order"]["result"] == "warn"
    assert "was not deleted" in rows["test profile"]["found"]


def test_a_profile_that_exists_is_not_touched(ask: Ask) -> None:
    """It would be deleted at the end."""
    with running_in_thread() as sandbox:
        sandbox.app.sandbox.handle("POST", "/user", {"id": EMAIL, "key": "email"}, 1.0)
        rows = ask(sandbox=sandbox)
        calls = {one.method for one in sandbox.app.sandbox.state.calls}
    assert rows["default live"]["result"] == "fail"
    assert "already" in rows["default live"]["found"]
    assert calls == {"GET"}


def test_a_real_account_is_asked_after_a_question_that_says_what(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A no asks nothing. In a dry run there is nobody to ask."""
    monkeypatch.setenv("SAILPIPE_API_KEY", KEY)
    monkeypatch.setenv("SAILPIPE_API_SECRET", "s3cret")
    with running_in_thread(SandboxOptions(api_key=KEY, api_secret="s3cret")) as sandbox:
        monkeypatch.setenv("SAILPIPE_API_URL", sandbox.url)
        monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
        capfd.readouterr()
        assert run(["doctor", "--live", EMAIL, "--orders"]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert "read lag: POST /user with a var" in err
        assert "stay in the purchase log" in err
        assert sandbox.app.sandbox.state.calls_seen == 0
        assert results(ask("--yes", sandbox=sandbox))["extid look-up"] == "ok"
        monkeypatch.setenv("SAILPIPE_DRY_RUN", "1")
        assert "dry run" in ask("--yes", sandbox=sandbox)["default live"]["found"]


def test_an_address_that_is_none_is_wrong_usage(ask: Ask) -> None:
    assert run(["doctor", "--live", "ann"]) == 2


@pytest.mark.parametrize("name", CHECKS)
def test_a_finding_is_shown_beside_what_is_assumed(name: str) -> None:
    """What differs, or cannot be told, says what to change."""
    agrees = judged("default", name, Finding("so", agrees=True))
    differs = judged("default", name, Finding("otherwise", agrees=False))
    unsaid = judged("default", name, Finding("unclear", agrees=None))
    assert (agrees.verdict, agrees.fix) == (Verdict.OK, None)
    assert (differs.verdict, differs.fix) == (Verdict.WARN, POINTS[name].change)
    assert "Neither confirmed nor refuted" in unsaid.found
    assert POINTS[name].assumes in differs.found


def test_every_point_that_can_be_asked_has_its_check() -> None:
    asked = {name for name, point in POINTS.items() if point.group != "not asked"}
    assert asked == {*CHECKS}
