"""Connections to Redis with the options that everything in sailpipe relies on.

* A command is tried once. redis-py's own ten retries would send an XADD again whose reply was
  lost, and hide an outage for a minute. A caller that can repeat safely does so itself.
* Replies come within 5 s or not at all, so a blocking read must block for less (2 s at most).
* Replies are bytes: raw events are never decoded on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from pipeline.errors import ConfigError

REPLY_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
HEALTH_CHECK_S = 30
ASYNC_CONNECTIONS = 32
QUEUE_TIMEOUT_S = 20.0
SENTINEL_SCHEME = "redis+sentinel"
_SENTINEL_PORT = 26379
_SENTINEL_FORM = (
    "SAILPIPE_REDIS_URL: write redis+sentinel://HOST:PORT,HOST:PORT/MASTER[/DB], with numbers for"
    " PORT and DB."
)


def open_redis(url: str, *, max_connections: int | None = None) -> redis.Redis:
    """A client for threads; connects on first use.

    url: redis://, rediss://, unix:// or redis+sentinel://HOST:PORT,HOST:PORT/MASTER[/DB].
    """
    options = _options(Retry(NoBackoff(), 0), max_connections)
    if urlsplit(url).scheme == SENTINEL_SCHEME:
        client: redis.Redis = _through_sentinel(redis.sentinel.Sentinel, url, options)
    else:
        client = _from_url(redis.Redis, url, options)
    return client


def open_async_redis(url: str, *, max_connections: int = ASYNC_CONNECTIONS) -> redis.asyncio.Redis:
    """A client for one asyncio loop; connects on first use. `url` as in `open_redis`.

    A command past `max_connections` waits for a connection: a worker has hundreds under way at a
    time, and Redis answers them one after the other however many sockets they come by.
    """
    options = _options(AsyncRetry(NoBackoff(), 0), max_connections)
    if urlsplit(url).scheme == SENTINEL_SCHEME:
        client: redis.asyncio.Redis = _through_sentinel(
            redis.asyncio.sentinel.Sentinel,
            url,
            options,
            connection_pool_class=_BlockingSentinelPool,
            timeout=QUEUE_TIMEOUT_S,
        )
    else:
        pool = _from_url(
            redis.asyncio.BlockingConnectionPool, url, options | {"timeout": QUEUE_TIMEOUT_S}
        )
        client = redis.asyncio.Redis.from_pool(pool)
    return client


def without_password(url: str) -> str:
    """The address as it may be shown and logged."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def _options(retry: object, max_connections: int | None) -> dict[str, Any]:
    return {
        "socket_timeout": REPLY_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": HEALTH_CHECK_S,
        "max_connections": max_connections,
        "retry": retry,
    }


def _from_url(client: Any, url: str, options: dict[str, Any]) -> Any:
    if url.startswith("unix:"):
        del options["socket_keepalive"]
    try:
        return client.from_url(url, **options)
    except ValueError:  # its text may quote a piece of the password
        raise ConfigError(
            "SAILPIPE_REDIS_URL is not a Redis address: write redis://HOST:6379/0."
        ) from None


class _BlockingSentinelPool(
    redis.asyncio.sentinel.SentinelConnectionPool, redis.asyncio.BlockingConnectionPool
):
    """Finds the master through Sentinel, and lets a command wait for a free connection."""


def _through_sentinel(
    sentinel: Callable[..., Any], url: str, options: dict[str, Any], **pool: Any
) -> Any:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    master, _, db = parts.path.strip("/").partition("/")
    try:
        addresses, number = [_host_port(host) for host in hosts.split(",")], int(db or 0)
    except ValueError:  # its text may quote a piece of the password
        raise ConfigError(_SENTINEL_FORM) from None
    if not (hosts and master):
        raise ConfigError(_SENTINEL_FORM)
    return sentinel(addresses, sentinel_kwargs=options).master_for(
        master,
        db=number,
        username=unquote(user) or None,
        password=unquote(password) or None,
        **options,
        **pool,
    )


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":") if ":" in text else (text, "", "")
    return host, int(port or _SENTINEL_PORT)
