"""Fixtures every test may use. Nothing here is active unless it is asked for, but the clean
environment: a developer's own SAILPIPE_* must not decide whether tests pass."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import redis

from tests.support import compiled_lua
from tests.support.redis_server import RedisServer

# What `make test-random` asks for; tests look at its name to choose their number of examples.
# (Hypothesis has a profile `ci` of its own and picks it whenever CI is set.)
# None of them fails for being slow: machines are shared, and the first run on a fresh clone fills caches.
for _profile in ("default", "deep"):
    hypothesis.settings.register_profile(
        _profile, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
# What `make test-mutants` asks for: the same examples for every mutant, and no time for the smallest that fails.
hypothesis.settings.register_profile(
    "mutants",
    hypothesis.settings.get_profile("default"),
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)

TIME_TO_SHRINK = 900
"""Seconds. Hypothesis looks for the smallest failure for 300; a time-out then would hide what it found."""


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, and so would each process that a test starts and interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("hypothesis"):
            item.add_marker(pytest.mark.timeout(TIME_TO_SHRINK))


def pytest_collection_finish() -> None:
    """Thousands of collected tests are not garbage: looking through them again and again took a tenth of a run's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("SAILPIPE_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session", autouse=True)
def _compiled_lua() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        compiled_lua.install(patch)
        yield


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real redis-server for the whole session; use `.url`, or `redis_url` for an empty one."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of a real, empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url
