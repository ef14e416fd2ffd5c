"""A duplicate is dropped, and so is what it would link: however the raw stream is cut into batches."""

from __future__ import annotations

import json
from typing import Any

import fakeredis
import pytest

from pipeline.events.models import Lane
from pipeline.settings import AccountSettings
from pipeline.splitter.entries import Configured
from pipeline.splitter.lookups import ask
from pipeline.splitter.triage import dedupe_hash, read, read_entry
from pipeline.storage import keys
from tests.support.mailboxes import Mailboxes, identify, order, track

ANN = identify("m1", "ann", anonymousId="tablet", email="ann@example.org")
BOB = identify("m2", "bob", anonymousId="tablet", email="bob@example.org")
ORDER = order("m3", anonymousId="tablet", properties={"email": "bob@example.org"})


async def email(boxes: Mailboxes, user: str, account: str = "default") -> str:
    found: Any = await boxes.redis.hget(keys.user(account, user), "email")
    return str((found or b"").decode())


async def seen(boxes: Mailboxes, user: str) -> bytes:
    found: Any = await boxes.redis.get(keys.seen("default", user))
    return bytes(found or b"")


async def assert_the_tablet_is_bobs(boxes: Mailboxes) -> None:
    assert await boxes.mail(Lane.PURCHASE, "bob") == ["m3"]
    assert await email(boxes, "ann") == "ann@example.org"
    assert await email(boxes, "bob") == "bob@example.org"


async def test_a_duplicate_links_nothing_to_those_behind_it(boxes: Mailboxes) -> None:
    """An SDK's retry comes after the tablet changed hands: the order is not its first owner's."""
    await boxes.post(ANN, BOB)
    await boxes.post(ANN, ORDER)
    await assert_the_tablet_is_bobs(boxes)


async def test_a_repeat_within_a_batch_links_nothing_either(boxes: Mailboxes) -> None:
    """The first of an id links; Redis knows neither yet."""
    await boxes.post(ANN, BOB, ANN, ORDER)
    await assert_the_tablet_is_bobs(boxes)


async def test_a_duplicate_is_no_sighting_of_an_email(boxes: Mailboxes) -> None:
    """The next event of the batch would write it down otherwise, and too many emails make an id a shared one."""
    await boxes.post(ANN)
    await boxes.post(
        identify("m1", "cat", email="other@example.org"),
        identify("m4", "cat", email="cat@example.org"),
    )
    assert b"other" not in await seen(boxes, "cat")


async def test_a_repeat_of_an_event_that_died_links_nothing(boxes: Mailboxes) -> None:
    """It is a duplicate, though the first linked nothing."""
    await boxes.post(BOB)
    await boxes.post({"messageId": "m1", "type": "identify"}, ANN, ORDER)
    assert await boxes.mail(Lane.PURCHASE, "bob") == ["m3"]


async def test_an_event_of_another_kind_with_a_known_message_id_links(boxes: Mailboxes) -> None:
    """It is no repeat, within a batch or across batches."""
    await boxes.post(track("m1", "eve"), BOB)
    await boxes.post({"messageId": "m1", "type": "nonsense"}, ANN, ORDER)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m3"]


async def test_another_accounts_event_of_the_same_id_still_links() -> None:
    """Dedupe is an account's own."""
    shops = AccountSettings(), AccountSettings(name="shoes")
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), *shops)
    await boxes.post(ANN)
    await boxes.accept(ANN, ORDER, account="shoes")
    await boxes.split()
    assert await boxes.redis.llen(keys.mail("shoes", Lane.PURCHASE, "ann")) == 1
    assert await email(boxes, "ann", "shoes") == "ann@example.org"


async def test_a_repeat_links_where_no_dedupe_is_asked() -> None:
    """With no window nothing is a duplicate."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis(), AccountSettings(dedupe_window=0.0))
    await boxes.post(ANN, BOB, ANN, ORDER)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m3"]


@pytest.mark.parametrize("together", [True, False])
async def test_an_exported_letter_that_went_out_already_links_nothing(
    boxes: Mailboxes, together: bool
) -> None:
    """Enqueued twice: side by side, or in another batch."""
    exported = ANN | {"sailpipe": {"replay": True}}
    first, second = [exported, BOB], [exported, ORDER]
    for batch in [first + second] if together else [first, second]:
        await boxes.post(*batch)
    await assert_the_tablet_is_bobs(boxes)


async def test_an_exported_letter_that_died_again_may_come_again(boxes: Mailboxes) -> None:
    """The mended copy behind it takes that letter's place and links, whatever Redis knew before the batch."""
    nonsense = {"messageId": "m1", "type": "nonsense"}
    key = dedupe_hash("m1", "nonsense", "")
    exported = ANN | {"sailpipe": {"replay": True, "letter": "m1", "key": key}}
    await boxes.post(exported, BOB)
    await boxes.post(nonsense, exported, ORDER)
    assert await boxes.mail(Lane.PURCHASE, "ann") == ["m3"]


def test_redis_is_asked_only_for_what_would_link_another() -> None:
    """The last of a batch, which is often its only one, links nobody; one id alone says nothing."""
    entries = [
        read_entry(f"{n}-0".encode(), {b"event": json.dumps(event).encode()})
        for n, event in enumerate((track("m5", "ann"), ANN, ORDER, BOB))
    ]
    accounts = {"default": Configured(AccountSettings(), "sailpipe:default:")}
    items = [read(entry, accounts) for entry in entries]
    asked = [ask("default", "sailpipe:default:", items[:end]).doubtful for end in (1, 2, 4)]
    assert [[key.id for key in keys] for keys in asked] == [[], [], ["m1", "m3"]]
