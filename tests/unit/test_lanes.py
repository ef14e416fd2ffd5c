"""Lanes as data: each has its row, and the rows fit together."""

from __future__ import annotations

from pipeline.events.kinds import LANES
from pipeline.events.models import Lane
from pipeline.lanes import ALL_SCOPES, HOSTS, SPECS, lua_prelude
from pipeline.ratelimit.slots import KNOWN_BUCKETS
from pipeline.storage.scripts import source


def test_every_lane_has_a_row_with_a_bucket_that_is_known() -> None:
    """And a host that there is."""
    assert set(SPECS) == set(Lane) == set(LANES.values())
    assert {row.bucket for row in SPECS.values()} <= set(KNOWN_BUCKETS)
    assert {row.host for row in SPECS.values()} == set(HOSTS)


def test_one_lane_identifies_and_wakes_all_that_wait_for_an_identify() -> None:
    """Or what was delivered there would leave them asleep until their minute is over."""
    (row,) = (row for row in SPECS.values() if row.identifies)
    assert {one.lane for one in SPECS.values() if one.waits_for_identify} <= set(row.wakes)
    assert row.lane not in row.wakes


def test_a_gate_may_stand_before_every_lane_and_every_bucket() -> None:
    """`status` and `resume` look at all of them."""
    assert {scope for row in SPECS.values() for scope in row.scopes} <= set(ALL_SCOPES)
    assert set(KNOWN_BUCKETS) <= set(ALL_SCOPES)


def test_the_scripts_are_told_of_lanes_and_name_none_themselves() -> None:
    """The one literal is in the prelude."""
    scripts = [
        f"pipeline.mailbox/{name}" for name in ("claim", "settle", "wake", "intent", "renew")
    ]
    for name in (*scripts, "pipeline.splitter/split", "pipeline.deadletters/replay"):
        assert source(name).startswith(lua_prelude())
        text = source(name).removeprefix(lua_prelude())
        code = "\n".join(line.partition("--")[0] for line in text.splitlines())
        assert not any(f"'{lane.value}'" in code for lane in Lane if lane.value != "event"), name
