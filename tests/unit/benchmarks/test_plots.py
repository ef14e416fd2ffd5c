"""The plots: what a bar's length says, and that they are well-formed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import plots

FIGURES = st.floats(0, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "goal", "lower", "share"),
    [
        (2.0, 4.0, True, 0.5),
        (8.0, 4.0, True, 2.0),
        (4.0, 2.0, False, 0.5),
        (0.0, 0.0, False, 2.0),
        (3.0, 0.0, False, 0.0),
    ],
)
def test_a_goal_is_reached_from_one_on(
    value: float, goal: float, lower: bool, share: float
) -> None:
    assert plots.reached(value, goal, lower=lower) == share


@given(st.text(st.characters(categories=["L", "N", "P", "S"])), st.lists(FIGURES, max_size=5))
def test_every_plot_is_well_formed(name: str, values: list[float]) -> None:
    for svg in (
        plots.bars(name, "ms", {name: {f"{name}{n}": value for n, value in enumerate(values)}}),
        plots.lines(name, {name: values}, {"300": 300}, "s"),
        plots.against_goals(name, [(name, value, 3.0, True) for value in values]),
    ):
        ET.fromstring(svg)  # noqa: S314 - made here
