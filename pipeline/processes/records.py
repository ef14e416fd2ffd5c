"""What a process says of itself, as a value and as Redis keeps it. No I/O."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any

from pipeline.clock import Clock


class ProcessRole(StrEnum):
    """What a process does."""

    WORKER = "worker"
    SPLITTER = "splitter"
    HTTP = "http"


@cache
def own_version() -> str:
    """The version of sailpipe that runs here."""
    from importlib.metadata import version  # noqa: PLC0415 - slow, and readers of records need none

    return version("sailpipe")


@dataclass(frozen=True, slots=True)
class HeadersSeen:
    """What Sailthru's headers leave of a bucket's minute, as one worker saw them last. limit, remaining: calls; ends: Unix
    seconds; others: calls/s of other programs on the same account, as estimated."""

    account: str
    bucket: str
    limit: int
    remaining: int
    ends: float
    others: float


@dataclass(frozen=True, slots=True)
class Process:
    """One process. id: no other has it; a splitter's is the token of its lease. since_ms: Unix ms, by the clock of its
    machine. lanes: that a worker delivers. address: where an HTTP server listens, `HOST:PORT`. headers: of the buckets
    that a worker has called in this minute."""

    role: ProcessRole
    since_ms: int
    lanes: tuple[str, ...] = ()
    address: str | None = None
    headers: tuple[HeadersSeen, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    version: str = field(default_factory=own_version)

    @property
    def parts(self) -> tuple[str, ...]:
        """What of an installation it is: the lanes it serves, or its role."""
        return self.lanes if self.role is ProcessRole.WORKER else (self.role.value,)

    def encode(self) -> str:
        """As Redis keeps it."""
        return json.dumps(asdict(self), separators=(",", ":"))


def this_process(
    role: ProcessRole,
    clock: Clock,
    *,
    lanes: Sequence[str] = (),
    address: str | None = None,
    identity: str | None = None,
) -> Process:
    """The record of the process that asks, which begins now."""
    known: dict[str, Any] = {} if identity is None else {"id": identity}
    since_ms = int(clock.now() * 1000)
    return Process(role, since_ms, tuple(map(str, lanes)), address=address, **known)


def read_record(stored: bytes) -> tuple[int, Process]:
    """When a process was last seen (ms, by Redis' clock), and what it said of itself.

    What a newer version says besides is left out.

    Raises:
        ValueError, KeyError, TypeError: it is no such record.
    """
    at, _, text = stored.decode().partition(" ")
    known = {one.name for one in fields(Process)}
    said = {name: value for name, value in json.loads(text).items() if name in known}
    said |= {"role": ProcessRole(said["role"]), "lanes": tuple(said["lanes"])}
    said["headers"] = tuple(HeadersSeen(**one) for one in said.get("headers", ()))
    return int(at), Process(**said)
