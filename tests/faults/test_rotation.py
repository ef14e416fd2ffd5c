"""Keys that are changed while events come in."""

from __future__ import annotations

import pytest

from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.targets import target_of
from tests.faults.conftest import Open
from tests.faults.support.account import ACCOUNT
from tests.faults.support.crew import Worker
from tests.faults.support.traffic import traffic
from tests.faults.support.world import World, sandbox_options
from tests.support.commands import wait_until

BEFORE = {"API_KEY": "live-old,live-new", "API_SECRET": "s-old,s-new"}
AFTER = {"SAILPIPE_API_KEY": "live-new,live-old", "SAILPIPE_API_SECRET": "s-new,s-old"}
AT_SAILTHRU = {"api_key": "live-old", "api_secret": "s-old"}
CHANGED = {"api_key": "live-new", "api_secret": "s-new"}


def hire_after(world: World) -> Worker:
    return world.crew.hire(
        SAILPIPE_API_KEY=AFTER["SAILPIPE_API_KEY"], SAILPIPE_API_SECRET=AFTER["SAILPIPE_API_SECRET"]
    )


def owner(world: World) -> bytes | None:
    found: bytes | None = world.client.get(keys.target(ACCOUNT))
    return found


@pytest.mark.timeout(200)
def test_an_api_key_is_changed_by_a_rolling_restart_without_losing_an_event(
    open_world: Open, scale: int
) -> None:
    """Workers of both orders of the keys work side by side; nothing is another target's, lost or repeated."""
    raws = traffic(60 * scale, 20, seed=41)
    third = len(raws) // 3
    options = sandbox_options().changed(AT_SAILTHRU)
    with open_world(options=options, CUSTOMER_ID="c", **BEFORE) as world:
        old = [world.crew.hire(), world.crew.hire()]
        world.send(raws[:third])
        world.wait_for_calls(5)
        new = [hire_after(world)]
        world.send(raws[third : 2 * third])
        world.wait_settled()  # Sailthru takes one key here, the old one: the new workers find that out
        old[0].stop()
        world.app.sandbox.options = options.changed(CHANGED)
        old[1].stop()
        new.append(hire_after(world))
        world.began()
        world.send(raws[2 * third :])
        wait_until(lambda: not world.gates("api"), "the key that Sailthru takes is in use", 60)
        world.wait_settled()
        world.recovered()
        world.judge("an API key changed, worker by worker", may_repeat=False)
        assert not any("foreign_target" in worker.log for worker in (*old, *new))
        account = load_settings({**world.environment, **AFTER}).account(ACCOUNT)
        assert owner(world) == target_of(account).name.encode()


@pytest.mark.timeout(200)
def test_an_api_key_that_is_changed_at_sailthru_first_is_found_out_without_a_restart(
    open_world: Open, scale: int
) -> None:
    """It costs the time of a probe, and no event."""
    raws = traffic(60 * scale, 20, seed=42)
    half = len(raws) // 2
    options = sandbox_options().changed(AT_SAILTHRU)
    with open_world(options=options, CUSTOMER_ID="c", **BEFORE) as world:
        worker = world.crew.hire()
        world.send(raws[:half])
        world.wait_for_calls(5)
        world.app.sandbox.options = options.changed(CHANGED)
        world.began()
        world.send(raws[half:])
        world.wait_settled()
        world.recovered()
        assert "api_key_changed" in worker.log
        world.judge("an API key changed at Sailthru first", may_repeat=False)
