"""The words that command line, HTTP and console share."""

from __future__ import annotations

import re

from pipeline.errors import Reason
from pipeline.events.models import Lane
from pipeline.status.wording import WAYS_IN, way_words
from pipeline.ways_in import WayIn
from pipeline.words import FAULTS, REASONS, TERMS, Fault, console_do, words_of


def test_every_reason_has_words_and_every_fault_a_name() -> None:
    """One that is added must be given both."""
    assert set(REASONS) == set(Reason)
    assert set(FAULTS) == set(Fault)


def test_words_are_clauses_that_faces_can_put_into_a_sentence() -> None:
    """No end, no beginning of one, nothing twice."""
    for words in REASONS.values():
        assert words.title
        assert words.do
        for text in filter(None, (words.title, words.do, words.here, *words.counted)):
            assert text == text.strip().rstrip(".")
            assert not re.match(r"[A-Z][a-z]+ ", text) or text.startswith("Sailthru ")
    titles = [words.title for words in REASONS.values()]
    assert len(set(titles)) == len(titles)


def test_a_problem_is_a_sentence_with_its_number() -> None:
    """Of letters, or of people where it is they that count; one of each kind has its own form."""
    email, user = REASONS[Reason.MISSING_EMAIL], REASONS[Reason.UNKNOWN_USER]
    assert email.sentence(1) == "1 order or cart has no e-mail address"
    assert email.sentence(4_312, 7) == "4,312 orders or carts have no e-mail address"
    assert user.sentence(90, 31) == "Sailthru does not know 31 customers"
    assert user.sentence(90) == "Sailthru does not know 90 customers"
    for words in REASONS.values():
        assert [text.count("{}") for text in words.counted] == [1, 1]
    assert words_of("lost_at_sea").sentence(3) == "lost at sea"


def test_what_to_do_is_said_in_the_console_to_who_has_no_terminal() -> None:
    """Nothing of settings, commands and producers; what serves both stands once."""
    for reason in Reason:
        assert not re.search(r"[A-Z]{3}|replay|producer|enqueue|letter|userId", console_do(reason))
    assert console_do("nothing_to_remove") == REASONS[Reason.NOTHING_TO_REMOVE].do
    assert console_do("lost_at_sea") == "see the letter"


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
