"""Which texts are web addresses that Sailthru can put into a mail."""

from __future__ import annotations

import pytest

from pipeline.mapping.items import is_web_url


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://shop.example.org/p1?a=b#c", True),
        ("http://shop.example.org", True),
        ("https://shop.example.org/d\u00fcrer", True),
        ("https://shop.example.org/a b", False),
        ("https://shop.example.org/a\u00a0b", False),
        ("https://shop.example.org/\x00", False),
        ("https://shop.example.org/a\tb", False),
        ("https://shop.example.org/a\nb", False),
        ("https://shop.example.org/\u200b", False),
        ("https://[::1/", False),
        ("https:///p1", False),
        ("ftp://shop.example.org/p1", False),
        ("/p1", False),
        ("", False),
    ],
)
def test_a_web_url_is_absolute_and_has_no_blanks_or_control_characters(
    url: str, *, is_one: bool
) -> None:
    """A browser and a mail program would each mend such an address in its own way."""
    assert is_web_url(url) is is_one
