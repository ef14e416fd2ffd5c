"""Options, limits and faults of the sandbox."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipeline.sandbox.faults import Fault, FaultKind, Faults
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.options import SandboxOptions

MINUTE = 1_600_000_020.0 - 60


@pytest.mark.parametrize(
    ("method", "endpoint", "limit"),
    [
        ("POST", "/user", 18_000),
        ("GET", "/purchase", 18_000),
        ("POST", "/event", 2_400),
        ("DELETE", "/user", 2_400),
    ],
)
def test_the_documented_limits_hold_by_default(method: str, endpoint: str, limit: int) -> None:
    """Per minute, method and endpoint (reference: sailthru-api 3)."""
    assert Limits().count(method, endpoint, MINUTE, SandboxOptions()).limit == limit


def test_a_clock_minute_takes_its_limit_and_no_more() -> None:
    """The next minute starts afresh, however late in this one the calls came."""
    limits, options = Limits(), SandboxOptions(limits={"POST /event": 2})
    verdicts = [
        limits.count("POST", "/event", MINUTE + at, options).allowed for at in (58, 59, 59.9, 60)
    ]
    assert verdicts == [True, True, False, True]


def test_the_headers_say_what_is_left_until_when() -> None:
    """Reset is the Unix second at which the next minute starts."""
    usage = Limits().count("POST", "/event", MINUTE + 7, SandboxOptions(limits={"POST /event": 2}))
    assert usage.headers == {
        "X-Rate-Limit-Limit": "2",
        "X-Rate-Limit-Remaining": "1",
        "X-Rate-Limit-Reset": str(int(MINUTE + 60)),
    }


def test_endpoints_and_methods_do_not_share_a_limit() -> None:
    """A full POST /event leaves POST /purchase alone."""
    limits, options = Limits(), SandboxOptions(limits={"POST /event": 1, "POST /purchase": 1})
    assert limits.count("POST", "/event", MINUTE, options).allowed
    assert limits.count("POST", "/purchase", MINUTE, options).allowed
    assert not limits.count("POST", "/event", MINUTE, options).allowed


def test_a_fault_hits_only_the_calls_it_is_for_and_only_so_often() -> None:
    """method, endpoint and user must all match; afterwards the rule is gone."""
    faults = Faults()
    faults.add(Fault(FaultKind.RESET, method="POST", endpoint="/event", user="extid:1", times=1))
    assert faults.take("POST", "/event", "extid:2") is None
    assert faults.take("GET", "/event", "extid:1") is None
    hit = faults.take("POST", "/event", "extid:1")
    assert hit is not None
    assert hit.kind is FaultKind.RESET
    assert faults.take("POST", "/event", "extid:1") is None
    assert faults.rules == []


def test_a_fault_with_a_probability_hits_its_share() -> None:
    """The injected random source decides."""
    faults = Faults(random.Random(7))
    faults.add(Fault(FaultKind.ERROR_9, probability=0.3))
    hits = sum(faults.take("POST", "/user", "") is not None for _ in range(1000))
    assert 250 < hits < 350


@pytest.mark.parametrize(
    "rule",
    [
        [],
        {},
        {"kind": "flood"},
        {"kind": "hang", "endpont": "/user"},
        {"kind": "hang", "seconds": "1"},
        {"kind": "hang", "times": 0},
        {"kind": "hang", "times": True},
    ],
)
def test_a_wrong_fault_is_refused(rule: Any) -> None:
    """A mistyped rule would be a test that tests nothing."""
    with pytest.raises(ValueError, match=r"fault|kind"):
        Fault.from_json(rule)


def test_options_change_one_by_one() -> None:
    """The others stay."""
    changed = SandboxOptions(lag_s=1).changed({"latency_s": 2, "limits": {"POST /user": 5}})
    assert (changed.lag_s, changed.latency_s, changed.limits) == (1, 2, {"POST /user": 5})


@pytest.mark.parametrize(
    "changes",
    [
        {"lag": 1},
        {"lag_s": "1"},
        {"lag_s": True},
        {"lag_s": -1},
        {"limits": {"POST /user": 0}},
        {"unknown_user_on_event": 1},
    ],
)
def test_a_wrong_option_is_refused(changes: dict[str, Any]) -> None:
    """The refusal names the option, so that a typo is seen."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        SandboxOptions().changed(changes)


def test_neither_options_nor_their_repr_show_the_secret() -> None:
    """They are printed when a test fails."""
    assert "hush" not in repr(SandboxOptions(api_secret="hush"))
