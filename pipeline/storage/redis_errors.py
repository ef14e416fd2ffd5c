"""What an error of Redis means for a person: one sentence and its fix. No I/O.

An error's own text is never shown: that of a script or a transaction can quote an event, that of a connection
the address with its password.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import redis.exceptions
import redis.sentinel

from pipeline.storage.redis_client import without_password


@dataclass(frozen=True, slots=True)
class RedisTrouble:
    """One kind of trouble. code: its name in the log. what: goes on after `Redis at HOST`. fix: what to do."""

    code: str
    what: str
    fix: str


_START = "start `sailpipe up`, or mend SAILPIPE_REDIS_URL"
LOGIN = RedisTrouble(
    "wrong_login",
    "refuses the login",
    "put the right user and password into SAILPIPE_REDIS_URL (redis://USER:PASSWORD@HOST)",
)
FORBIDDEN = RedisTrouble(
    "forbidden",
    "does not let this user do it",
    "give the user of SAILPIPE_REDIS_URL all commands on keys that begin with sailpipe: (ACL SETUSER)",
)
FULL = RedisTrouble(
    "full",
    "is full and takes nothing that needs memory",
    "raise its maxmemory, or see by `sailpipe status` what waits and why",
)
READ_ONLY = RedisTrouble(
    "read_only", "is a replica, which takes no writes", "point SAILPIPE_REDIS_URL at the master"
)
LOADING = RedisTrouble(
    "loading", "still reads its files after a start", "wait, and try again when it has"
)
DISK = RedisTrouble(
    "disk",
    "cannot write its files and takes no writes until it can",
    "look at its log, and make room on its disk",
)
REPLICAS = RedisTrouble(
    "no_replicas",
    "takes no writes without its replicas",
    "bring them back, or lower its min-replicas-to-write",
)
NO_MASTER = RedisTrouble(
    "no_master",
    "is cut off from its master, or no sentinel names one",
    "look at the sentinels and the master",
)
CLUSTER = RedisTrouble(
    "cluster", "is a cluster, which is not supported", "use one Redis, or one behind Sentinel"
)
CLIENTS = RedisTrouble(
    "too_many_clients", "takes no more connections", "raise its maxclients, or stop what holds them"
)
REFUSED = RedisTrouble("refused", "does not answer: nothing listens there", _START)
UNKNOWN_HOST = RedisTrouble(
    "unknown_host", "does not answer: its host has no address", "mend SAILPIPE_REDIS_URL"
)
TLS = RedisTrouble(
    "tls",
    "does not answer: TLS fails",
    "use redis:// where it speaks none; where it does, see whether its certificate is trusted here",
)
SILENT = RedisTrouble(
    "silent",
    "does not answer in time",
    "see whether it hangs, and whether a firewall is in between",
)
AWAY = RedisTrouble("away", "does not answer", _START)
REJECTED = RedisTrouble(
    "rejected",
    "refuses a command",
    "look at its log; `sailpipe doctor` says whether it is new enough",
)

_BY_CLASS: tuple[tuple[type[Exception], RedisTrouble], ...] = (
    (redis.exceptions.NoPermissionError, FORBIDDEN),
    (redis.exceptions.AuthenticationError, LOGIN),
    (redis.exceptions.AuthenticationWrongNumberOfArgsError, LOGIN),
    (redis.exceptions.OutOfMemoryError, FULL),
    (redis.exceptions.ReadOnlyError, READ_ONLY),
    (redis.exceptions.BusyLoadingError, LOADING),
    (redis.exceptions.MasterDownError, NO_MASTER),
    (redis.sentinel.MasterNotFoundError, NO_MASTER),
    (redis.exceptions.ClusterError, CLUSTER),
    (redis.exceptions.AskError, CLUSTER),
    (redis.exceptions.MaxConnectionsError, CLIENTS),
)
_BY_CODE = {
    "OOM": FULL,
    "READONLY": READ_ONLY,
    "LOADING": LOADING,
    "MISCONF": DISK,
    "NOREPLICAS": REPLICAS,
    "MASTERDOWN": NO_MASTER,
    "NOAUTH": LOGIN,
    "WRONGPASS": LOGIN,
    "NOPERM": FORBIDDEN,
    "CLUSTERDOWN": CLUSTER,
    "MOVED": CLUSTER,
}
_CODE = re.compile(rf"(?:^|-|caused error: )({'|'.join(_BY_CODE)})\b")
"""How an error that redis-py makes no class of begins. Redis 6.2 hides it in the text of a script's, redis-py behind
the command of a transaction."""


def explain(error: BaseException) -> RedisTrouble:
    """The trouble behind an error of redis-py, whichever release of Redis said it."""
    for kind, trouble in _BY_CLASS:
        if isinstance(error, kind):
            return trouble
    code = _CODE.search(str(error))
    if code is not None:
        return _BY_CODE[code[1]]
    if "max number of clients" in str(error):
        return CLIENTS
    return next((found for one in _chain(error) if (found := _of_connection(one))), REJECTED)


def describe(error: BaseException, url: str = "") -> str:
    """The trouble as one sentence; `url` is shown without its password."""
    trouble = explain(error)
    where = f" at {without_password(url)}" if url else ""
    return f"Redis{where} {trouble.what}: {trouble.fix}."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """What redis-py raised comes last: the errors below it say more."""
    if error is not None:
        yield from _chain(error.__cause__ or error.__context__)
        yield error


def _of_connection(error: BaseException) -> RedisTrouble | None:
    if "handshake" in str(error):  # a server without TLS never answers one
        return TLS
    return next((trouble for kind, trouble in _CAUSES if isinstance(error, kind)), None)


_CAUSES: tuple[tuple[type[BaseException], RedisTrouble], ...] = (
    (ConnectionRefusedError, REFUSED),
    (FileNotFoundError, REFUSED),
    (socket.gaierror, UNKNOWN_HOST),
    (ssl.SSLError, TLS),
    (TimeoutError, SILENT),
    (redis.exceptions.TimeoutError, SILENT),
    (redis.exceptions.ConnectionError, AWAY),
    (OSError, AWAY),
)
