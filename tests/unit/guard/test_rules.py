"""Which requests are answered at all: what a page, a proxy or a stranger can make reach the console."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.guard.rules import LOOPBACK_NAMES, Visit, host_name, is_same_site, refuse


def visit(
    method: str = "GET",
    *,
    host: str = "localhost:8000",
    peer: str | None = "127.0.0.1",
    http_version: str = "1.1",
    **headers: str,
) -> Visit:
    more = ((name.replace("_", "-"), value) for name, value in headers.items())
    return Visit(method, peer, (("host", host), *more), http_version)


def code(one: Visit, *hosts: str, has_password: bool = False) -> str | None:
    refusal = refuse(one, hosts, has_password=has_password)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.:8000", "127.0.0.1:8000", "[::1]:8000", "[0:0::1]"]
)
def test_this_machine_is_answered_under_its_own_names(host: str) -> None:
    """However the browser writes them."""
    assert code(visit(host=host)) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "localhost.evil.example",
        "evil.example@localhost",
        "127.0.0.1.nip.io",
        "",
        "[::1",
        "localhost:8000, evil.example",
        "localhost:x",
        "127.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "169.254.169.254",
    ],
)
@pytest.mark.parametrize("has_password", [True, False])
def test_another_name_is_refused(host: str, *, has_password: bool) -> None:
    """DNS rebinding: a page's own name is made to lead to 127.0.0.1, so that it may read what is answered."""
    assert code(visit(host=host), has_password=has_password) == "unknown_host"


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    """Which of two is meant the next proxy may see another way."""
    assert code(Visit("GET", "127.0.0.1", ())) == "unknown_host"
    two = Visit("GET", "127.0.0.1", (("host", "localhost"), ("host", "localhost")))
    assert code(two) == "unknown_host"


def test_listed_names_take_the_place_of_this_machines() -> None:
    """CONSOLE_HOSTS=sailpipe.example.com, behind a proxy, with a password."""
    ours = visit(host="Sailpipe.Example.com")
    assert code(ours, "sailpipe.example.com", has_password=True) is None
    assert code(visit(), "sailpipe.example.com", has_password=True) == "unknown_host"
    assert code(ours, "sailpipe.example.com") == "no_password"


@pytest.mark.parametrize(
    "name",
    [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "via",
        "x-real-ip",
        "cf-connecting-ip",
        "x-original-host",
    ],
)
def test_without_a_password_nothing_that_a_proxy_sends_is_answered(name: str) -> None:
    """It connects from this machine, for somebody who may be anywhere."""
    one = Visit("GET", "127.0.0.1", (("host", "localhost"), (name, "127.0.0.1")))
    assert code(one) == "no_password"
    assert code(one, has_password=True) is None


@pytest.mark.parametrize(
    "peer", ["10.0.0.7", "172.17.0.1", "::ffff:10.0.0.7", "fe80::1", None, "nonsense"]
)
def test_without_a_password_another_machine_is_not_answered(peer: str | None) -> None:
    """It may say `Host: localhost` as it likes."""
    assert code(visit(peer=peer)) == "no_password"


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_by_each_of_its_addresses(peer: str) -> None:
    """IPv4, IPv6, and IPv4 on a socket that speaks both."""
    assert code(visit(peer=peer)) is None


def test_nginx_that_was_told_nothing_is_not_taken_for_this_machine() -> None:
    """`proxy_pass http://127.0.0.1:8000;` alone sends a loopback Host, no header of its own, and HTTP/1.0."""
    assert code(visit(host="127.0.0.1:8000", http_version="1.0")) == "no_password"


@pytest.mark.parametrize(
    ("origin", "site", "taken"),
    [
        ("http://localhost:8000", "same-origin", True),
        (None, "none", True),  # typed into the address bar
        (None, None, True),  # no browser
        ("http://localhost:8000", None, True),  # a browser that has no fetch metadata over http
        ("http://evil.example", "cross-site", False),
        ("http://localhost:3000", "same-site", False),  # another program on this machine
        (None, "cross-site", False),
        ("null", None, False),  # a sandboxed frame
        ("http://evil.example", None, False),
        ("http://localhost:8000.evil.example", None, False),
        ("http://localhost:8000", "SAME-ORIGIN", False),
    ],
)
def test_a_post_is_taken_from_the_console_itself_and_from_programs(
    origin: str | None, site: str | None, *, taken: bool
) -> None:
    """By what the browser says of it, which a page cannot change."""
    given_ = {"origin": origin, "sec_fetch_site": site}
    one = visit("POST", **{name: value for name, value in given_.items() if value is not None})
    assert (code(one), is_same_site(one)) == ((None, True) if taken else ("cross_site", False))


def test_a_doubled_origin_is_no_origin_that_is_believed() -> None:
    """With one of each, the library would see neither and let it pass."""
    one = Visit(
        "POST",
        "127.0.0.1",
        (("host", "localhost"), ("origin", "http://evil"), ("origin", "http://localhost")),
    )
    assert code(one) == "cross_site"


def test_a_page_of_another_site_may_lead_here() -> None:
    """A link in a mail opens; reading changes nothing."""
    assert code(visit(sec_fetch_site="cross-site")) is None


@given(st.text(max_size=40))
def test_no_host_but_those_allowed_is_let_in(host: str) -> None:
    """Whatever is written into the header."""
    if code(visit(host=host)) is None:
        assert host_name(host) in LOOPBACK_NAMES
        assert host.lower().startswith(("localhost", "127.0.0.1", "["))
