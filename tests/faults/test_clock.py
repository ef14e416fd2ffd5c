"""Redis' clock set back, and forward, under a running pipeline."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
import redis

from tests.faults.conftest import Open
from tests.faults.support.traffic import traffic
from tests.faults.support.world import sandbox_options
from tests.support.commands import wait_until
from tests.support.redis_server import redis_binary

BACK = "Redis' clock set back 20 min, 3 times"
STEPS = {
    BACK: (-1200.0, -2400.0, -3600.0),
    "Redis' clock set forward 5.9 s, then 20 min, twice": (5.9, 1205.9, 2405.9),
}
"""By how much it is off then. 5.9 s are less than half a lease of 12 s."""
AT_ONCE_S = 10.0
START_S = 10.0
HAS_FAKETIME = (sys.platform, platform.machine()) == ("linux", "x86_64")
"""As pyproject.toml says; there, a library that is missing fails the test."""


def faked_clock(offset: Path) -> Mapping[str, str]:
    """What makes a process read its wall clock with the offset (seconds) in this file."""
    library = files("libfaketime") / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def starts_with(environment: Mapping[str, str]) -> bool:
    """Whether this server starts with libfaketime. Debian's Redis 7 does not: its jemalloc, a library of its own, asks for
    the time before libfaketime can say it, and each waits for the other."""
    command, env = [redis_binary(), "--version"], {**os.environ, **environment}
    try:
        subprocess.run(command, env=env, capture_output=True, check=True, timeout=START_S)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired:
        return False
    return True


def set_clock(offset: Path, off_by: float) -> None:
    """In one step: who reads a file that is being written may find it empty, and the clock right."""
    written = offset.with_suffix(".new")
    written.write_text(f"{off_by:+}")
    written.replace(offset)


def has_stepped(client: redis.Redis, before: float, step_s: float) -> bool:
    """By most of the step, beside the moments that pass."""
    now = redis_time(client)
    return now < before if step_s < 0 else now > before + step_s - 1


def redis_time(client: redis.Redis) -> float:
    seconds, micros = client.time()
    return float(seconds) + float(micros) / 1e6


@pytest.mark.timeout(200)
@pytest.mark.skipif(not HAS_FAKETIME, reason="libfaketime's wheel is for Linux on x86-64")
@pytest.mark.parametrize("title", STEPS)
def test_a_clock_that_is_set_loses_delays_and_repeats_nothing(
    open_world: Open, tmp_path: Path, title: str
) -> None:
    """Three times: delivery goes on at once. Set back, nothing is sent twice or overtakes; set forward, no order is."""
    offset = tmp_path / "offset"
    set_clock(offset, 0.0)
    # A cart that was changed right before a step forward may be read too early: as guarantees.md says.
    options = sandbox_options(lag_s=0.4 if title == BACK else 0.0)
    environment = faked_clock(offset)
    if not starts_with(environment):
        pytest.skip("this server's jemalloc and libfaketime wait for each other")
    with open_world(redis_environment=environment, options=options) as world:
        for _ in range(2):
            world.crew.hire()
        raws = traffic(900, 60, seed=13)
        was = 0.0
        for part, off_by in enumerate(STEPS[title]):
            world.send(raws[300 * part : 300 * part + 200])
            world.wait_for_calls(40)
            before = redis_time(world.client)
            set_clock(offset, off_by)
            # Not at once: Valkey asks for the wall clock once a millisecond and counts on from there.
            is_set = partial(has_stepped, world.client, before, off_by - was)
            wait_until(is_set, "Redis' clock is set")
            was = off_by
            world.began()
            world.send(raws[300 * part + 200 : 300 * (part + 1)])
            world.wait_for_calls(20, AT_ONCE_S)
            world.recovered()
        world.wait_settled(30)
        # A step forward is rarely not noticed in a lane (guarantees.md); what was under way there is sent again.
        world.judge(title, may_repeat=title != BACK)
