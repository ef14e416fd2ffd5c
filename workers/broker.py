"""Redis' address as kombu, Celery's library for queues, writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pipeline.storage.redis_client import SENTINEL_SCHEME, open_redis


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker's address, and the transport options that go with it."""

    url: str
    options: dict[str, str] = field(default_factory=dict)


def broker_of(redis_url: str) -> Broker:
    """The broker for a REDIS_URL of any form that sailpipe takes.

    Raises:
        ConfigError: it is not such an address.
    """
    open_redis(redis_url).close()  # connects nowhere, but says what is wrong with an address
    scheme = urlsplit(redis_url).scheme
    if scheme == SENTINEL_SCHEME:
        return _behind_sentinel(redis_url)
    if scheme == "unix":
        return Broker(_on_socket(redis_url))
    return Broker(_plain(redis_url))


def _behind_sentinel(url: str) -> Broker:
    """`redis+sentinel://LOGIN@A,B/MASTER/DB` -> `sentinel://LOGIN@A/DB;sentinel://LOGIN@B/DB`, and the master's name."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    master, _, db = parts.path.strip("/").partition("/")
    each = (f"sentinel://{login}{at}{host}/{db or 0}" for host in hosts.split(","))
    return Broker(";".join(each), {"master_name": master})


def _on_socket(url: str) -> str:
    """`unix://LOGIN@/PATH?db=3` -> `redis+socket://LOGIN@/PATH?virtual_host=3`; a login may be in the query as well."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    user, password = query.get("username", ""), query.get("password", "")
    login = f"{quote(user, '')}:{quote(password, '')}@" if password else parts.netloc
    return f"redis+socket://{login}{parts.path}?virtual_host={query.get('db', 0)}"


def _plain(url: str) -> str:
    """`redis://HOST?db=3&password=PW` -> `redis://:PW@HOST/3`: kombu knows nothing of the query but what is about TLS.

    It checks no certificate unless it is told to; redis-py does, and so do we.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    tls = {name: value for name, value in query.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        tls = {"ssl_cert_reqs": "required", **tls}
    login, at, host = parts.netloc.rpartition("@")
    if not at and "password" in query:
        login, at = f"{quote(query.get('username', ''), '')}:{quote(query['password'], '')}", "@"
    path = f"/{query['db']}" if "db" in query else parts.path
    return parts._replace(netloc=f"{login}{at}{host}", path=path, query=urlencode(tls)).geturl()
