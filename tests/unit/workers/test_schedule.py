"""WakeSchedule: each marked lane is looked at once, when it has rested and not before."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.models import Lane
from workers.schedule import AccountLane, WakeSchedule

LANES: list[AccountLane] = [("shoes", Lane.USER), ("shoes", Lane.EVENT), ("hats", Lane.USER)]
TIMES = st.floats(0, 100)
MARK = st.tuples(st.just("mark"), st.sampled_from(LANES), st.one_of(st.just(-math.inf), TIMES))
REST = st.tuples(st.just("rest"), st.sampled_from(LANES), TIMES)
TAKE = st.tuples(st.just("take"), st.just(LANES[0]), TIMES)


def test_a_lane_that_rests_keeps_no_other_waiting() -> None:
    schedule = WakeSchedule()
    schedule.rest(LANES[:1], 10.0)
    assert schedule.add(LANES[:2]) == -math.inf
    assert schedule.take(5.0) == LANES[1:2]
    assert schedule.next_at() == 10.0
    assert schedule.take(10.0) == LANES[:1]
    assert schedule.next_at() == math.inf


def test_a_nudge_is_not_put_off_by_what_can_wait() -> None:
    """Nor does what can wait bring a nudge's look forward twice."""
    schedule = WakeSchedule()
    assert schedule.add(LANES[:1], 7.0) == 7.0
    assert schedule.add(LANES[:1]) == -math.inf
    assert schedule.add(LANES[:1], 9.0) == -math.inf
    assert schedule.take(0.0) == LANES[:1]
    assert schedule.take(100.0) == []


@given(st.lists(st.one_of(MARK, REST, TAKE), max_size=40))
def test_it_agrees_with_a_list_of_all_marks(steps: list[tuple[str, AccountLane, float]]) -> None:
    """A lane is due by the earliest of its marks since it was last taken, and after its latest rest."""
    schedule = WakeSchedule()
    marks: dict[AccountLane, list[float]] = {lane: [] for lane in LANES}
    rests = dict.fromkeys(LANES, -math.inf)
    for what, lane, time in steps:
        if what == "mark":
            schedule.add([lane], time)
            marks[lane].append(time)
        elif what == "rest":
            schedule.rest([lane], time)
            rests[lane] = time
        ready = {one: max(min(marks[one]), rests[one]) for one in LANES if marks[one]}
        assert schedule.next_at() == min(ready.values(), default=math.inf)
        if what == "take":
            due = {one for one, at in ready.items() if at <= time}
            assert set(schedule.take(time)) == due
            for one in due:
                marks[one] = []
