"""Every Redis key is named in `pipeline/storage/keys.py`: no script and no module builds one that is not there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import fakeredis
import pytest

import workers
from pipeline.events.models import Lane
from pipeline.storage import keys
from pipeline.storage.keys import KeyKind, kind_of
from tests.support.key_table import PLACEHOLDER, check_keys, key_rows, row_of
from tests.support.lua_sources import PACKAGE, lua_sources
from tests.support.mailboxes import Mailboxes, delivered, identify, letter, order, track

MODULES = [*PACKAGE.rglob("*.py"), *Path(workers.__path__[0]).rglob("*.py")]
BELOW_ACCOUNT = {
    row.template.removeprefix("sailpipe:ACCOUNT:")
    for row in key_rows()
    if row.template.startswith("sailpipe:ACCOUNT:")
}


def test_a_key_of_an_account_has_a_kind_and_a_kind_has_keys() -> None:
    """`reset` and `adopt` decide by kinds what stays."""
    kinds = {kind_of(template.encode()) for template in BELOW_ACCOUNT}
    assert kinds == set(KeyKind)
    assert kind_of(b"duelist:x") is None


@pytest.mark.parametrize("script", lua_sources())
def test_a_script_builds_no_key_that_is_not_named(script: str) -> None:
    """What stands behind the prefix is a whole key, or all of it up to a part that varies."""
    code = lua_sources()[script]
    begins = {PLACEHOLDER.split(template)[0] for template in BELOW_ACCOUNT}
    fragments = set(re.findall(r"\b[pP] \.\. '([^']*)'", code))
    assert fragments <= begins
    whole = set(re.findall(r"'(sailpipe:[^']*)'", code))
    assert whole <= {row.template for row in key_rows()} | {keys.DUE_NUDGES}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_a_module_builds_no_key_of_its_own(module: Path) -> None:
    """`sailpipe:` before a letter is a key, and so is a kind with a colon behind it as bytes. (Docstrings may say them.)"""
    if module == PACKAGE / "storage" / "keys.py":
        return
    tree = ast.parse(module.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in prose
    ]
    assert [
        one for one in texts if isinstance(one, str) and re.search(r"sailpipe:(\w|$)", one)
    ] == []
    assert [one for one in texts if isinstance(one, bytes) and kind_of(one) and b":" in one] == []


async def test_what_lies_in_redis_after_events_of_each_lane_is_named_with_its_type() -> None:
    """Split, leased, waiting, delivered, dead and replayed."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    await boxes.post(identify("m1", "ann", anonymousId="a1", email="ann@example.com"))
    await boxes.post(identify("m2", None, anonymousId="a2", email="ann@example.com"))
    await boxes.post(order("m3", "bob"), track("m4", "bob"), {"type": "nonsense"})
    claim = await boxes.lease_and_claim(Lane.USER, "ann")
    await boxes.store.settle(
        delivered(
            claim, learn={"identified": "1"}, cart="[]", cart_keep_ms=60_000, cart_of="a@b.co"
        )
    )
    dying = await boxes.lease_and_claim(Lane.PURCHASE, "bob")
    await boxes.store.settle(letter(dying, reason="missing_email"))
    await boxes.lease_and_claim(Lane.EVENT, "bob")
    await check_keys(boxes.redis)
    await boxes.moves.replay(["m3"])
    await check_keys(boxes.redis)


def test_the_row_of_a_key_is_the_most_exact_one() -> None:
    """A user may be called like a part of a key."""
    row = row_of(keys.mail("default", Lane.EVENT, "dead:at").encode())
    assert row is not None
    assert row.template == "sailpipe:ACCOUNT:mail:LANE:BOX"
    assert row_of(b"sailpipe:default:deadly") is None
