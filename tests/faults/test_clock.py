"""Redis' clock set back under a running pipeline."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
import redis

from tests.faults.conftest import Open
from tests.faults.support.traffic import traffic
from tests.support.commands import wait_until

STEP_S = 1200
AT_ONCE_S = 10.0
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


def is_before(client: redis.Redis, moment: int) -> bool:
    return int(client.time()[0]) < moment


@pytest.mark.timeout(200)
@pytest.mark.skipif(not HAS_FAKETIME, reason="libfaketime's wheel is for Linux on x86-64")
def test_a_clock_that_is_set_back_loses_delays_and_repeats_nothing(
    open_world: Open, tmp_path: Path
) -> None:
    """By twenty minutes, three times: delivery goes on at once, nothing is sent twice or overtakes."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    with open_world(redis_environment=faked_clock(offset)) as world:
        for _ in range(2):
            world.crew.hire()
        raws = traffic(900, 60, seed=13)
        for part in range(3):
            world.send(raws[300 * part : 300 * part + 200])
            world.wait_for_calls(40)
            before = world.client.time()[0]
            offset.write_text(f"-{STEP_S * (part + 1)}")
            # Not at once: Valkey asks for the wall clock once a millisecond and counts on from there.
            wait_until(partial(is_before, world.client, before), "Redis' clock is set back")
            world.began()
            world.send(raws[300 * part + 200 : 300 * (part + 1)])
            world.wait_for_calls(20, AT_ONCE_S)
            world.recovered()
        world.wait_settled(30)
        world.judge("Redis' clock set back 20 min, 3 times", may_repeat=False)
