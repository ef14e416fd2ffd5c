"""Which requests are answered at all, by whatever program they are sent. No I/O.

A browser on the operator's machine can be made to send requests by any page it shows. Against that stand the names
under which the console answers (DNS rebinding), what the browser says of a request's origin (cross-site posts), and,
while no password is set, that nothing but this machine itself is answered.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from modern_csrf.base import should_accept_request

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PROXIED: Final = re.compile(
    r"forwarded|via|x-forwarded-.+|x-real-ip|x-original-.+|x-client-ip|x-cluster-client-ip|cf-connecting-ip"
    r"|true-client-ip|fastly-client-ip"
)
"""Headers that a proxy adds. A request that has one did not begin on this machine."""
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s:/\[\]@]+))(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Visit:
    """What the rules look at in a request.

    peer: the address it came from; None when the server does not say.
    headers: in the order in which they came, names in lower case.
    """

    method: str
    peer: str | None
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    http_version: str = "1.1"

    def header(self, name: str) -> str | None:
        """The header, if it is there once: of two there is no telling which is meant."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered. `message` is for people, and quotes nothing of the request."""

    status: int
    code: str
    message: str


_WRONG_HOST = Refusal(
    400,
    "unknown_host",
    "The console does not answer under this name: open it as http://localhost, or list the name in"
    " SAILPIPE_CONSOLE_HOSTS.",
)
_NO_PASSWORD = Refusal(
    403,
    "no_password",
    "Without a password the console answers this machine alone, and no proxy: set SAILPIPE_CONSOLE_PASSWORD.",
)
_CROSS_SITE = Refusal(
    403, "cross_site", "Another site sent this request; nothing was done. Open the console itself."
)


def refuse(visit: Visit, hosts: Iterable[str], *, has_password: bool) -> Refusal | None:
    """Why a request is not answered; None when it is looked at further.

    hosts: CONSOLE_HOSTS; without one, the names of this machine.
    has_password: whether a person who is not on this machine can show who they are.
    """
    name = host_name(visit.header("host"))
    if name is None or name not in (frozenset(hosts) or LOOPBACK_NAMES):
        return _WRONG_HOST
    if not has_password and not is_local(visit):
        return _NO_PASSWORD
    if not is_same_site(visit):
        return _CROSS_SITE
    return None


def host_name(header: str | None) -> str | None:
    """The name in a Host header, in lower case, without port and last dot; None for what is no Host."""
    found = _HOST.fullmatch(header or "")
    if found is None:
        return None
    if found["v6"] is None:
        return found["name"].lower().removesuffix(".")
    try:
        return str(ipaddress.IPv6Address(found["v6"]))
    except ValueError:
        return None


def is_local(visit: Visit) -> bool:
    """Whether a request began on this machine, as far as can be told.

    A proxy on this machine connects from a loopback address, too. Most say so in a header. nginx, told nothing, does
    not, and names a loopback Host; but it then speaks HTTP/1.0, which no browser does.
    """
    return (
        host_name(visit.header("host")) in LOOPBACK_NAMES
        and _is_loopback(visit.peer)
        and visit.http_version != "1.0"
        and not any(_PROXIED.fullmatch(name) for name, _ in visit.headers)
    )


def is_same_site(visit: Visit) -> bool:
    """Whether no other site made a browser send this. What is no browser sends neither header and is let pass."""
    doubled = {"origin", "sec-fetch-site"} & {
        name for name, _ in visit.headers if visit.header(name) is None
    }
    return not doubled and should_accept_request(
        visit.method,
        visit.header("origin"),
        visit.header("sec-fetch-site"),
        visit.header("host"),
        (),
    )


def _is_loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)  # ::ffff:127.0.0.1
    return (mapped or found).is_loopback
