"""What the default `up` uses while nothing happens, with a hundred accounts, ten, and one."""

from __future__ import annotations

import time

from benchmarks.events import identifies
from benchmarks.figures import Bench, Check, Figures, Row, at_most
from benchmarks.usage import cores
from benchmarks.world import World, open_world

_ACCOUNT = """
[accounts.{name}]
api_key = "{name}"
api_secret = "{name}"
customer_id = "{name}"
api_url = "{url}"
pageview_url = "{url}"
"""
_SETTLED_S = 5.0


def idle(bench: Bench, accounts: int) -> Figures:
    """Cores by process of an `up` that has delivered something a while ago."""
    with open_world(redis_server=False) as world:
        _name_accounts(world, accounts)
        world.up()
        world.add(identifies(1, "warm"))
        world.wait_delivered(1, "`up` works", 60)
        time.sleep(_SETTLED_S)
        before = world.snapshot()
        time.sleep(bench.size("idle_s", 20))
        used = cores(before, world.snapshot())
    return {**used, "percent": 100 * used["cores"]}


def _name_accounts(world: World, count: int) -> None:
    """`default` is one of them."""
    named = (f"shop{number}" for number in range(count - 1))
    text = "".join(_ACCOUNT.format(name=name, url=world.stand_in.url) for name in named)
    (world.folder / "sailpipe.toml").write_text(text)


IDLE = Row(
    "idle",
    "The default `up` while nothing happens",
    {
        "hundred": lambda bench: idle(bench, 100),
        "ten": lambda bench: idle(bench, 10),
        "one": lambda bench: idle(bench, 1),
    },
    (
        Check("a hundred accounts", "hundred.percent", goal=at_most(2), unit="% of a core"),
        Check("ten accounts", "ten.percent", goal=at_most(2), unit="% of a core"),
        Check("one account", "one.percent", unit="% of a core"),
    ),
    rounds=1,
)
