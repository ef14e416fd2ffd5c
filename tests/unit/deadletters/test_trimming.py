"""Which letters go when there are too many: the largest groups lose letters, orders and refunds last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.deadletters.trimming import TrimGroup, Trimmed, by_hour, shares

GROUPS = st.builds(
    TrimGroup,
    st.integers(480_000, 480_005),
    st.sampled_from(["order", "purchase", "event", ""]),
    st.sampled_from(["rejected", "unmappable"]),
    st.sampled_from("0f"),
)
STORES = st.dictionaries(GROUPS, st.integers(1, 60), max_size=20)


def left(groups: dict[TrimGroup, int], cuts: dict[TrimGroup, int]) -> dict[TrimGroup, int]:
    return {group: size - cuts.get(group, 0) for group, size in groups.items()}


@given(groups=STORES, excess=st.integers(0, 500))
def test_exactly_the_excess_is_trimmed(groups: dict[TrimGroup, int], excess: int) -> None:
    cuts = shares(groups, excess)
    assert sum(cuts.values()) == min(excess, sum(groups.values()))
    assert all(0 < count <= groups[group] for group, count in cuts.items())


@given(groups=STORES, excess=st.integers(0, 500))
def test_orders_are_trimmed_last(groups: dict[TrimGroup, int], excess: int) -> None:
    """None of them while anything else is left."""
    cuts = shares(groups, excess)
    others = {group: size for group, size in groups.items() if not group.is_order}
    if any(group.is_order for group in cuts):
        assert not any(left(others, cuts).values())


@given(groups=STORES, excess=st.integers(0, 500))
def test_a_trimmed_group_keeps_as_many_letters_as_the_largest(
    groups: dict[TrimGroup, int], excess: int
) -> None:
    """Among orders and among all others: who loses a letter keeps as many as the largest does, but for one."""
    cuts = shares(groups, excess)
    for orders in (False, True):
        pool = {group: size for group, size in groups.items() if group.is_order is orders}
        kept = left(pool, cuts)
        for group in pool.keys() & cuts.keys():
            assert kept[group] >= max(kept.values()) - 1


FLOODS = st.dictionaries(GROUPS, st.integers(1, 10_000), min_size=1)


@given(groups=STORES, flood=FLOODS, most=st.integers(1, 2_000))
def test_a_flood_takes_nothing_from_a_group_of_less_than_an_even_share(
    groups: dict[TrimGroup, int], flood: dict[TrimGroup, int], most: int
) -> None:
    """A group is safe, whatever is sent, while all groups could have its size without being too many."""
    both = {group: groups.get(group, 0) + flood.get(group, 0) for group in {*groups, *flood}}
    cuts = shares(both, max(0, sum(both.values()) - most))
    for orders in (False, True):
        pool = [group for group in both if group.is_order is orders]
        room = most if orders else most - sum(both[group] for group in both if group.is_order)
        safe = [group for group in pool if both[group] <= room // len(pool)]
        assert not cuts.keys() & set(safe)


@given(groups=STORES)
def test_groups_are_listed_by_hour_the_latest_first(groups: dict[TrimGroup, int]) -> None:
    """Each once, and read as they were written."""
    hours = list(by_hour(groups))
    assert [hour for hour, _ in hours] == sorted({group.hour for group in groups}, reverse=True)
    assert {group: size for _, cuts in hours for group, size in cuts.items()} == groups
    assert all(TrimGroup.parse(str(group)) == group for group in groups)


def test_trimmed_letters_are_counted_by_reason_and_orders_apart() -> None:
    trimmed = Trimmed()
    trimmed.groups.update(
        {TrimGroup(1, "", "rejected", "0"): 2, TrimGroup(2, "order", "rejected", "0"): 3}
    )
    trimmed.groups.update({TrimGroup(2, "order", "too_old", "0"): 4})
    assert (trimmed.letters, trimmed.orders) == (9, 7)
    assert trimmed.reasons == {"rejected": 5, "too_old": 4}
