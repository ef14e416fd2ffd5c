"""The broker's address, for each form of REDIS_URL."""

from __future__ import annotations

import pytest
from kombu import Connection

from pipeline.errors import ConfigError
from workers.broker import Broker, broker_of


@pytest.mark.parametrize(
    ("redis_url", "broker"),
    [
        ("redis://:pw@cache:6380/2", Broker("redis://:pw@cache:6380/2")),
        ("rediss://cache/2", Broker("rediss://cache/2?ssl_cert_reqs=required")),
        (
            "rediss://cache/2?ssl_cert_reqs=none&ssl_ca_certs=/ca.pem",
            Broker("rediss://cache/2?ssl_cert_reqs=none&ssl_ca_certs=%2Fca.pem"),
        ),
        ("redis://cache?db=3&password=p%40w", Broker("redis://:p%40w@cache/3")),
        ("redis://shop:pw@cache/2?protocol=3&socket_timeout=1", Broker("redis://shop:pw@cache/2")),
        (
            "rediss://cache?username=shop&password=pw&db=1",
            Broker("rediss://shop:pw@cache/1?ssl_cert_reqs=required"),
        ),
        ("unix:///run/redis.sock", Broker("redis+socket:///run/redis.sock?virtual_host=0")),
        (
            "unix:///run/redis.sock?db=3&password=p%40w",
            Broker("redis+socket://:p%40w@/run/redis.sock?virtual_host=3"),
        ),
        (
            "unix://shop:pw@/run/redis.sock",
            Broker("redis+socket://shop:pw@/run/redis.sock?virtual_host=0"),
        ),
        (
            "redis+sentinel://shop:p%40w@one:26379,two:26380/main/2",
            Broker(
                "sentinel://shop:p%40w@one:26379/2;sentinel://shop:p%40w@two:26380/2",
                {"master_name": "main"},
            ),
        ),
        (
            "redis+sentinel://one/main",
            Broker("sentinel://one/0", {"master_name": "main"}),
        ),
    ],
)
def test_the_broker_is_the_redis_of_the_settings(redis_url: str, broker: Broker) -> None:
    assert broker_of(redis_url) == broker
    Connection(broker.url)


@pytest.mark.parametrize(
    "redis_url", ["redis+sentinel://one", "redis+sentinel://one:x/main", "redis://h:x"]
)
def test_an_address_that_is_none_is_refused(redis_url: str) -> None:
    with pytest.raises(ConfigError, match="SAILPIPE_REDIS_URL"):
        broker_of(redis_url)
