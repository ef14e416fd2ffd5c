"""Worker processes of two targets over one Redis: each delivers what is its own, and leaves the rest alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.server import RunningSandbox, running_in_thread
from pipeline.settings import load_settings
from pipeline.storage import keys
from pipeline.targets import SANDBOX, target_of
from tests.support.commands import running, wait_until

EVENTS = 150
ACCOUNTS = ("default", "shoes")
TRIAL_KEYS = {"default": "sandbox", "shoes": "sandbox-shoes"}
LIVE_KEYS = {"default": "live-1", "shoes": "live-2"}
Servers = dict[str, RunningSandbox]


def open_servers(api_keys: dict[str, str], stack: ExitStack) -> Servers:
    """A stand-in Sailthru for each account, which takes no other key than that account's."""
    return {
        name: stack.enter_context(
            running_in_thread(SandboxOptions(api_key=key, api_secret="s3cret"))
        )
        for name, key in api_keys.items()
    }


@pytest.fixture
def servers() -> Iterator[tuple[Servers, Servers]]:
    """Those of the trial, and those of the live accounts."""
    with ExitStack() as stack:
        yield open_servers(TRIAL_KEYS, stack), open_servers(LIVE_KEYS, stack)


def write_settings(path: Path, api_keys: dict[str, str], found: Servers) -> Path:
    """A settings file that delivers each account to its server."""
    lines = []
    for name in ACCOUNTS:
        lines += [] if name == "default" else [f"[accounts.{name}]"]
        lines += [f'api_key = "{api_keys[name]}"', 'api_secret = "s3cret"']
        lines += [f'{at} = "{found[name].url}"' for at in ("api_url", "pageview_url")]
    path.write_text("\n".join(lines))
    return path


def calls(server: RunningSandbox) -> int:
    return server.app.sandbox.state.calls_seen


def test_two_targets_over_one_redis_work_each_by_itself(
    redis_url: str, servers: tuple[Servers, Servers], tmp_path: Path
) -> None:
    """Of two accounts that both know, one belongs to the sandbox and one is live: every event reaches the
    right one of four servers, in whichever process a wake-up arrives, and each process says once what it
    leaves alone."""
    trial, live = servers
    trial_file = write_settings(tmp_path / "trial.toml", TRIAL_KEYS, trial)
    live_file = write_settings(tmp_path / "live.toml", LIVE_KEYS, live)
    live_target = target_of(load_settings({"SAILPIPE_CONFIG": str(live_file)}).account("shoes"))
    with redis.Redis.from_url(redis_url) as client:
        client.set(keys.target("default"), SANDBOX)
        client.set(keys.target("shoes"), live_target.name)
        for number in range(EVENTS):
            body = json.dumps({"type": "identify", "userId": f"u{number}", "traits": {"n": number}})
            for account in ACCOUNTS:
                client.xadd(keys.RAW, {"event": body, "account": account})

        def delivered(account: str) -> int:
            return int(client.hget(keys.counts(account), "delivered") or 0)

        with (
            running(
                "splitter",
                directory=tmp_path,
                SAILPIPE_REDIS_URL=redis_url,
                SAILPIPE_CONFIG=str(trial_file),
            ),
            running(
                "worker",
                directory=tmp_path,
                SAILPIPE_REDIS_URL=redis_url,
                SAILPIPE_CONFIG=str(trial_file),
            ) as of_trial,
            running(
                "worker",
                directory=tmp_path,
                SAILPIPE_REDIS_URL=redis_url,
                SAILPIPE_CONFIG=str(live_file),
            ) as of_live,
        ):
            wait_until(lambda: [*map(delivered, ACCOUNTS)] == [EVENTS, EVENTS], "all are delivered")
            of_trial.wait_for("foreign_target")
            of_live.wait_for("foreign_target")
            said = {"trial": of_trial.output, "live": of_live.output}
    assert {name: calls(one) for name, one in trial.items()} == {"default": EVENTS, "shoes": 0}
    assert {name: calls(one) for name, one in live.items()} == {"default": 0, "shoes": EVENTS}
    assert said["trial"].count("event=foreign_target") == 1
    assert 'account=shoes owner="127.0.0.1:' in said["trial"]
    assert said["live"].count("event=foreign_target") == 1
    assert 'account=default owner="the sandbox"' in said["live"]
    assert "live-1" not in said["live"]
