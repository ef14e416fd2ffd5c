"""Lanes as data: each has its row, and the rows fit together."""

from __future__ import annotations

from pipeline.events.kinds import LANES, Kind
from pipeline.events.models import Lane
from pipeline.lanes import ALL_SCOPES, HOSTS, KNOWN_BUCKETS, SPECS
from pipeline.sandbox.sandbox import Sandbox
from tests.support.lua_sources import lua_sources


def test_every_lane_has_a_row_with_a_bucket_that_is_known() -> None:
    """And a host that there is."""
    assert set(SPECS) == set(Lane) == set(LANES.values())
    assert {row.bucket for row in SPECS.values()} <= set(KNOWN_BUCKETS)
    assert {row.host for row in SPECS.values()} == set(HOSTS)


def test_one_lane_identifies_and_wakes_all_that_wait_for_an_identify() -> None:
    """Or what was delivered there would leave them asleep until their minute is over."""
    (row,) = (row for row in SPECS.values() if row.identifies)
    assert {row.lane, *row.wakes} == set(Lane)
    assert row.lane not in row.wakes
    assert not row.waits_for_identify
    assert not any(one.wakes for one in SPECS.values() if one is not row)


def test_every_kind_but_a_group_has_a_lane() -> None:
    """Groups go nowhere: Sailthru has no such thing."""
    assert set(Kind) - set(LANES) == {Kind.GROUP}


def test_the_sandbox_answers_every_call_that_a_lane_makes() -> None:
    """With whatever it thinks of an empty one: it knows the endpoint and the method."""
    for bucket in KNOWN_BUCKETS:
        method, _, endpoint = bucket.partition(" ")
        assert Sandbox().handle(method, endpoint, {}, 1.0).status not in {404, 405}, bucket


def test_a_gate_may_stand_before_every_lane_and_every_bucket() -> None:
    """`status` and `resume` look at all of them."""
    assert {scope for row in SPECS.values() for scope in row.scopes} <= set(ALL_SCOPES)
    assert set(KNOWN_BUCKETS) <= set(ALL_SCOPES)


def test_the_scripts_are_told_of_lanes_and_name_none_themselves() -> None:
    """The one literal is in the prelude. (`user` is also what a mailbox waits for, and `event` a field.)"""
    for name, code in lua_sources().items():
        assert not any(f"'{lane.value}'" in code for lane in (Lane.PURCHASE, Lane.PAGE)), name
