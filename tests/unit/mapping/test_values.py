"""Numbers and texts as Sailthru takes them. Rows about whole events stand in the tables."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MappingRejected, Reason, Unreadable
from pipeline.mapping.values import MAX_CENTS, cents, elements, identifier, quantity, text
from pipeline.reminders import parse_reminder_time
from pipeline.settings import AccountSettings
from pipeline.text import clean_text

SECRET = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (18.99, 1899),
        (1.005, 101),
        (2.675, 268),
        (0.285, 29),
        (1.115, 112),
        (0.004999999999999999, 0),
        ("0.00" + "4" + "9" * 40, 0),
        (" 18.99 ", 1899),
        ("1e2", 10_000),
        (".5", 50),
        ("5.", 500),
        (MAX_CENTS // 100, MAX_CENTS),
    ],
)
def test_prices_round_half_up_from_what_was_written(price: object, expected: int) -> None:
    """Binary floats make 100 of 1.005 * 100; the number as written makes 101."""
    assert cents(price, "price") == expected


@given(st.integers(0, MAX_CENTS))
def test_a_price_with_two_decimals_is_exact(amount: int) -> None:
    """As text always; as a JSON number up to what a double tells apart."""
    written = str(Decimal(amount).scaleb(-2))

    assert cents(written, "price") == amount
    if amount < 10**14:
        assert cents(float(written), "price") == amount


@pytest.mark.parametrize(
    "price",
    [
        *("", "free", "$1", "1,50", "1_0", "\uff11", "0x10", "NaN", "-Infinity", "--1", "1e9999"),
        *("9" * 65, True, None, [], {}, float("nan"), float("inf"), -0.01, 10**400, 1e30),
    ],
)
def test_what_is_no_price_is_unmappable(price: object) -> None:
    """Nothing is guessed about money."""
    with pytest.raises(MappingRejected) as caught:
        cents(price, "properties.price")

    assert caught.value.reason is Reason.UNMAPPABLE
    assert "properties.price" in caught.value.detail


@pytest.mark.parametrize(
    ("count", "expected"), [(None, 1), (3, 3), (" 3", 3), (3.0, 3), ("3.00", 3), ("1e1", 10)]
)
def test_quantities_are_whole(count: object, expected: int) -> None:
    """As a number or as text; one when there is none."""
    assert quantity(count, "quantity") == expected


@pytest.mark.parametrize("count", [0, -1, 0.5, "1.5", True, "two", 1_000_001, 1e300, "1e-999"])
def test_other_quantities_are_unmappable(count: object) -> None:
    """Half an item is a mistake somewhere else."""
    with pytest.raises(MappingRejected):
        quantity(count, "quantity")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (" a ", "a"),
        ("", None),
        (" ", None),
        (None, None),
        (7, "7"),
        (7.0, "7"),
        (False, None),
        ([], None),
        ({}, None),
        ("\x00\ufeff", None),
        ("\ud83d", "\ufffd"),
        ("one\r\n\ttwo\x07", "one two"),
    ],
)
def test_texts_are_trimmed_and_numbers_are_texts(given: object, expected: str | None) -> None:
    """Half an emoji would make Sailthru refuse the whole call."""
    assert text(given, "id") == expected


def test_an_id_or_address_loses_a_line_break_where_a_name_gets_a_space() -> None:
    """As browsers read addresses."""
    given = "\ufeffhttps://shop.example/\r\ntea\x00 "

    assert identifier(given, "url") == "https://shop.example/tea"
    assert text(given, "name") == "https://shop.example/ tea"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        (False, []),
        ([], []),
        ({}, []),
        (["a", None], [("tags.0", "a"), ("tags.1", None)]),
        ({"10": "b", "2": "a"}, [("tags.2", "a"), ("tags.10", "b")]),
    ],
)
def test_a_list_may_be_an_object_with_numbers_for_names(
    given: object, expected: list[tuple[str, object]]
) -> None:
    """PHP writes a list with a hole in it so."""
    assert elements(given, "tags") == expected


@pytest.mark.parametrize("given", ["a", 1, True, {"a": 1}, {"0": 1, "": 2}, {"9" * 5000: 1}])
def test_other_values_are_no_list(given: object) -> None:
    """One product is not a list of products."""
    with pytest.raises(Unreadable) as caught:
        elements(given, "tags")
    assert (caught.value.path, caught.value.problem) == ("tags", "must be a list")


@pytest.mark.parametrize("given", [True, 1.5, [1], {"a": 1}, 2.0**53, 10**400, float("nan")])
def test_other_values_are_no_text(given: object) -> None:
    """A list is not joined, a flag is not spelled out."""
    with pytest.raises(MappingRejected):
        text(given, "id")


@given(st.text(alphabet=st.characters(codec=None, exclude_categories=())))
def test_cleaned_text_can_be_sent_and_good_text_is_not_changed(given: str) -> None:
    """Pairs of surrogates are characters; halves are not."""
    cleaned = clean_text(given)

    cleaned.encode()
    if not any("\ud800" <= char <= "\udfff" for char in given):
        assert cleaned == given


def test_refusals_never_quote_values() -> None:
    """They are logged and shown in tables."""
    for reader in (cents, quantity):
        with pytest.raises(MappingRejected) as caught:
            reader(SECRET, "price")
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("60 minutes", "+60 minutes"),
        ("24 hrs", "+24 hours"),
        ("2 weeks", "+2 weeks"),
        ("+20 minutes", "+20 minutes"),
        ("+ 1 HOUR", "+1 hour"),
        ("1 hours", "+1 hour"),
        ("90min", "+90 minutes"),
        ("3 days", "+3 days"),
    ],
)
def test_reminder_times_are_written_out(given: str, sent: str) -> None:
    """What settings take, the mapping takes."""
    assert parse_reminder_time(given) == sent
    assert AccountSettings(reminder_time=given, reminder_template="t").reminder_time


@pytest.mark.parametrize(
    "given", ["", "soon", "60", "minutes", "-1 day", "1.5 hours", "2 fortnights", "1 day 2 hours"]
)
def test_other_times_are_none(given: str) -> None:
    """Sailthru would answer error 18 to each cart."""
    with pytest.raises(ValueError, match="60 minutes"):
        parse_reminder_time(given)
