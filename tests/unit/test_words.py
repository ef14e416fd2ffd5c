"""The words that command line, HTTP and console share."""

from __future__ import annotations

import re

from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.status.wording import WAYS_IN, way_words
from pipeline.ways_in import WayIn
from pipeline.words import FAULTS, REASONS, TERMS, Fault, words_of


def test_every_reason_has_words_and_every_fault_a_name() -> None:
    """One that is added must be given both."""
    assert set(REASONS) == set(Reason)
    assert set(FAULTS) == set(Fault)


def test_words_are_clauses_that_faces_can_put_into_a_sentence() -> None:
    """No end, no beginning of one, nothing twice."""
    for words in REASONS.values():
        for text in (words.title, words.do):
            assert text
            assert text == text.strip().rstrip(".")
            assert not re.match(r"[A-Z][a-z]+ ", text) or text.startswith("Sailthru ")
    titles = [words.title for words in REASONS.values()]
    assert len(set(titles)) == len(titles)


def test_every_lane_has_a_name_for_people() -> None:
    assert set(Lane) <= set(TERMS)


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    """A letter outlives the version that wrote it."""
    assert words_of("lost_at_sea").title == "lost at sea"
    assert words_of("rejected") == REASONS[Reason.REJECTED]


def test_every_way_in_has_words_that_follow_arrived() -> None:
    """One that is added must be given some; the rest of what an entry says comes behind."""
    assert set(WAYS_IN) == set(WayIn)
    assert way_words("segment", []) == "by Segment's API"
    assert way_words("segment", ["browser", "bulk"]) == (
        "by Segment's API, with a key of role browser, as bulk"
    )
    assert way_words("replay", ["replay"]) == "as one that was sent again"


def test_a_way_in_that_is_not_known_is_said_as_it_is_or_not_at_all() -> None:
    """A version before this one wrote none, a later one may write others."""
    assert way_words(None, []) == ""
    assert way_words(None, ["replay"]) == "as one that was sent again"
    assert way_words("pigeon", ["other"]) == "pigeon"
