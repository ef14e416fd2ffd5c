"""Numbers and texts as Sailthru takes them. Rows about whole events stand in the tables."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MappingRejected, Reason, Unreadable
from pipeline.mapping.numbers import MAX_CENTS, cents, number, quantity
from pipeline.mapping.values import elements, identifier, text
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
        ("1,50", 150),
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
        *("", "free", "$1", "1_0", "\uff11", "0x10", "NaN", "-Infinity", "--1", "1e9999"),
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
    ("written", "expected"),
    [
        *(("1,299.50", "1299.50"), ("1.299,50", "1299.50"), ("1,299.500", "1299.5")),
        *(("1 299,50", "1299.50"), ("1\u00a0299", "1299"), ("1\u202f299\u202f000,5", "1299000.5")),
        *(("1'299.50", "1299.50"), ("1\u2019299", "1299"), ("-1,299.50", "-1299.50")),
        *(("1,299,000", "1299000"), ("1.299.000", "1299000"), ("12,99,000.5", "1299000.5")),
        *(("-999,299.50", "-999299.5"), ("+100,000,000", "100000000")),
        *(("12,50", "12.5"), (",5", "0.5"), ("12.9900", "12.99"), ("\u22122.5", "-2.5")),
        *(("0,299", "0.299"), ("1299,500", "1299.5"), ("1299.500", "1299.5"), (".299", "0.299")),
    ],
)
def test_a_number_as_text_may_separate_its_thousands(written: str, expected: str) -> None:
    """The last of two kinds of separators is the decimal one; one that repeats is none."""
    assert number(written, "price") == Decimal(expected)


@pytest.mark.parametrize("written", ["1,299", "1.299", "12,999", "-999.000", "+1,299"])
def test_text_that_may_be_thousands_or_a_fraction_is_no_number(written: str) -> None:
    """A thousand times the price, or a thousandth of it: neither is guessed."""
    with pytest.raises(Unreadable, match="thousands or a fraction"):
        number(written, "price")


@pytest.mark.parametrize(
    "written",
    ["1,2,3", "1,,5", "12,9900,50", "1.2.3,5", "1,299.500,5", ",", "1 2", "1, 299.50", "'"],
)
def test_thousands_come_in_groups_of_three(written: str) -> None:
    """Other text with separators in it is a list, a date, or a mistake."""
    with pytest.raises(Unreadable):
        number(written, "price")


@given(
    cents_of_it=st.integers(100_000, 10**12),
    marks=st.sampled_from([(",", "."), (".", ","), (" ", ","), ("'", "."), ("\u202f", ",")]),
)
def test_every_way_to_write_an_amount_is_that_amount(
    cents_of_it: int, marks: tuple[str, str]
) -> None:
    """From a thousand on, with two decimals, in the ways of many countries."""
    thousands, point = marks
    whole, fraction = divmod(cents_of_it, 100)
    written = f"{whole:,}".replace(",", thousands) + f"{point}{fraction:02}"

    assert cents(written, "price") == cents_of_it


@pytest.mark.parametrize(
    ("count", "expected"),
    [(None, 1), (1, 1), (3, 3), (" 3", 3), (3.0, 3), ("3.00", 3), ("1e1", 10), (10**6, 10**6)],
)
def test_quantities_are_whole(count: object, expected: int) -> None:
    """As a number or as text; one when there is none."""
    assert quantity(count, "quantity") == expected


@pytest.mark.parametrize("count", [0, -1, 0.5, 1.4, "1.5", True, "two", 1_000_001, 1e300, "1e-999"])
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
        ('["a"]', [("tags.0", "a")]),
    ],
)
def test_a_list_may_be_an_object_with_numbers_for_names(
    given: object, expected: list[tuple[str, object]]
) -> None:
    """PHP writes a list with a hole in it so."""
    assert elements(given, "tags") == expected


@pytest.mark.parametrize("given", ["a", "[a", 1, True, {"a": 1}, {"0": 1, "": 2}, {"9" * 5000: 1}])
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
    "given",
    [
        "",
        "soon",
        "0 minutes",
        "+00 days",
        "60",
        "minutes",
        "-1 day",
        "1.5 hours",
        "2 fortnights",
        "1 day 2 hours",
    ],
)
def test_other_times_are_none(given: str) -> None:
    """Sailthru would answer error 18 to each cart."""
    with pytest.raises(ValueError, match="60 minutes"):
        parse_reminder_time(given)
