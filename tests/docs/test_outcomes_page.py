"""docs/outcomes.md says what the code decides."""

from __future__ import annotations

import re
from itertools import chain
from typing import get_args

from pipeline.errors import Reason
from pipeline.events.kinds import IgnoreReason
from pipeline.outcomes import Outcome
from pipeline.settings import setting_names
from tests.docs import outcomes_page
from tests.unit.delivery.decisions.meanings import DEAD, IGNORED, OUTCOMES


def test_the_page_is_that_of_the_tests() -> None:
    """`python -m tests.docs.outcomes_page` writes it anew."""
    assert outcomes_page.PAGE.read_text() == outcomes_page.page()


def test_every_outcome_and_reason_has_a_meaning() -> None:
    """A new one without fails here, as one without a row fails in `tests/unit/delivery/test_decisions.py`."""
    assert set(OUTCOMES) == set(get_args(Outcome))
    assert list(DEAD) == list(Reason)
    assert list(IGNORED) == list(IgnoreReason)


def test_every_setting_the_page_names_exists() -> None:
    """Names in capitals, with or without their value."""
    names = setting_names()
    known = {name.upper() for name in chain(names.installation, names.account)}
    named = set(re.findall(r"\b[A-Z]+_[A-Z_]+\b|\b[A-Z]{5,}(?==)", outcomes_page.page()))
    assert named <= known
    assert len(named) > 8
