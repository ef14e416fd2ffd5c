"""Which ids and data go with a person, and which are another's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.views import SavedViews
from pipeline.dryrun.calls import KeptCalls
from pipeline.forget.forgetting import NotErased
from pipeline.forget.links import SharedId
from pipeline.forget.spaces import Space
from pipeline.sailthru.answers import Accepted, Answer
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from tests.support.everything import names_of
from tests.support.fake_sailthru import REFUSED
from tests.support.forgetting import (
    ANN,
    BOB,
    erase,
    forgetting,
    known,
)
from tests.support.pipe import ACCOUNT, Pipe, added, identify, track


async def test_an_id_or_address_of_another_user_stays_and_is_named(pipe: Pipe) -> None:
    """A device that another person uses by now, a present that somebody else has paid for; --also takes them, too."""
    await known(pipe, ANN)
    await pipe.post(identify(BOB.user, traits={"email": BOB.email}, anonymousId=ANN.device))
    await pipe.post(added(BOB.user, email=False) | {"messageId": "present"})
    present = track("user-eve-1", "Order Completed", email=ANN.email, order_id="o-9", products=[])
    await pipe.post(present)
    await pipe.run(10)
    plan = await forgetting(pipe).plan(ANN.user)
    assert plan.left_out == {ANN.device: BOB.user}
    assert plan.holders == ["user-eve-1"]
    assert {*plan.person.keys} == {ANN.user, ANN.email.lower()}
    assert sum(found.named for found in plan.found.values()) > 0
    receipt = await forgetting(pipe).erase(plan, by="eve")
    assert (receipt.left, receipt.named > 0) == (0, True)
    assert {key.split(b":")[2] for key, _ in await names_of(pipe.redis, ANN.email)} <= {
        b"user",
        b"dead",
        b"seen",
    }
    assert await names_of(pipe.redis, BOB.email) != []
    both = await forgetting(pipe).plan(ANN.email, ["user-eve-1"])
    await forgetting(pipe).erase(both, by="eve")
    assert await names_of(pipe.redis, ANN.email, "user-eve-1") == []


def by_page(**event: Any) -> dict[str, str]:
    """An identify as any visitor can send it, with the key that stands in a page."""
    body = {"type": "identify", "messageId": "-".join(map(str, event.values())), **event}
    return {"event": json.dumps(body), "role": "browser"}


async def test_an_email_that_only_a_page_showed_is_not_erased_nor_its_profile_deleted(
    pipe: Pipe,
) -> None:
    """Who has a page's key may say that anybody's address is theirs: as a trait, or as their anonymousId."""
    await pipe.post_raw(
        [
            by_page(userId="evil-1", traits={"email": ANN.email}),
            by_page(anonymousId="evil-anon", traits={"email": BOB.email}),
            by_page(userId="evil-2", anonymousId="eve@forget.example"),
        ]
    )
    await pipe.run(30)
    asked: list[Call] = []

    async def take(call: Call) -> Answer:
        asked.append(call)
        return Accepted(200, {"ok": True})

    for one, email in (
        ("evil-1", ANN.email.lower()),
        ("evil-anon", BOB.email.lower()),
        ("evil-2", "eve@forget.example"),
    ):
        plan = await forgetting(pipe).plan(one)
        assert (plan.person.ids, plan.unproven) == ((one,), [email])
        await forgetting(pipe).erase(plan, by="eve", sailthru=take)
    assert asked == []
    meant = await forgetting(pipe).plan("evil-1", [ANN.email])
    assert meant.person.emails == (ANN.email.lower(),)


@pytest.mark.parametrize(
    "said",
    [
        {"anonymousId": "evil-anon", "traits": {"email": ANN.email}},
        {"anonymousId": "evil-anon", "userId": ANN.user},
    ],
)
async def test_a_device_that_was_linked_to_a_user_is_erased_without_that_user(
    pipe: Pipe, said: dict[str, Any]
) -> None:
    """A visitor can link their own to anybody. Who erases the user takes the device, too."""
    await known(pipe, ANN)
    await pipe.post_raw([by_page(**said)])
    await pipe.run(30)
    plan = await forgetting(pipe).plan("evil-anon")
    assert (plan.person.ids, plan.left_out, plan.unproven) == (("evil-anon",), {}, [ANN.user])
    assert "evil-anon" in (await forgetting(pipe).plan(ANN.user)).person.ids
    both = await forgetting(pipe).plan("evil-anon", [ANN.user])
    assert both.person.keys == {"evil-anon", ANN.user, ANN.device, ANN.email.lower()}


async def test_a_user_or_known_visitor_whom_another_called_their_device_is_not_erased_with_that_one(
    pipe: Pipe,
) -> None:
    """Whoever has an email of their own, by what a server said, or a device, is somebody."""
    await known(pipe, ANN)
    await pipe.post(
        {"type": "identify", "anonymousId": "visitor-1", "traits": {"email": BOB.email}}
    )
    await pipe.post(track("user-eve-1") | {"anonymousId": "device-eve"})
    await pipe.post_raw(
        [
            by_page(userId="evil-1", anonymousId=ANN.user),
            by_page(userId="evil-2", anonymousId="visitor-1"),
            by_page(userId="evil-3", anonymousId="user-eve-1"),
        ]
    )
    await pipe.run(30)
    stay = (ANN.user, "visitor-1", "user-eve-1")
    for evil, one in zip(("evil-1", "evil-2", "evil-3"), stay, strict=True):
        plan = await forgetting(pipe).plan(evil)
        assert (plan.person.ids, plan.unproven) == ((evil,), [one])
    plan = await forgetting(pipe).plan(ANN.user)
    assert plan.person.keys == {ANN.user, ANN.device, ANN.email.lower()}
    plan = await forgetting(pipe).plan(BOB.email)
    assert plan.person.keys == {"visitor-1", BOB.email.lower()}


async def test_what_an_unfinished_erasure_found_is_taken_only_while_it_is_nobody_elses(
    pipe: Pipe,
) -> None:
    """An address that has gone to another user meanwhile leads neither there nor from there."""
    await known(pipe, ANN)

    async def refuse(_: Call) -> Answer:
        return REFUSED

    with pytest.raises(NotErased):
        await erase(pipe, ANN.user, sailthru=refuse)
    await pipe.post(identify(BOB.user, traits={"email": ANN.email}))
    await pipe.run(30)
    plan = await forgetting(pipe).plan(ANN.user)
    assert plan.person.keys == {ANN.user, ANN.device}
    assert {one.lower() for one in plan.left_out} == {ANN.email.lower()}
    assert (await forgetting(pipe).plan(ANN.email)).person.keys == {BOB.user, ANN.email.lower()}
    await erase(pipe, BOB.user)
    assert await pipe.redis.hlen(keys.forgetting(ACCOUNT)) == 1
    await erase(pipe, ANN.user)
    assert await pipe.redis.hlen(keys.forgetting(ACCOUNT)) == 0


async def test_a_call_of_a_dry_run_is_erased_with_whom_it_names_letter_for_letter(
    pipe: Pipe,
) -> None:
    """Ids that differ by case alone are two people's; an email is the same in any case."""
    kept = KeptCalls(pipe.redis, ACCOUNT)
    for key, one in (("extid", "User-ANN"), ("extid", "user-ann"), ("email", ANN.email.upper())):
        await kept.add(Call("GET", "/user", {"id": one, "key": key}))
    found = (await forgetting(pipe).plan("User-ANN")).found[Space.DRY_CALLS]
    assert (found.looked, found.theirs) == (3, 1)
    await erase(pipe, "User-ANN")
    assert (await forgetting(pipe).plan("User-ANN")).total == 0
    await erase(pipe, ANN.email)
    assert [one.call.params["id"] async for one in kept.read()] == ["user-ann"]


async def test_whoever_calls_themselves_as_a_lane_defaces_nothing_that_was_written(
    pipe: Pipe,
) -> None:
    """A view goes when its name, or what it looks for, names the person; not for the filters that it has."""
    audit, views = AuditTrail(pipe.redis, ACCOUNT), SavedViews(pipe.redis, ACCOUNT)
    acts = ("pause", "event"), ("replay", "reason rejected, lane event"), ("save view", "lane 404")
    for verb, what in acts:
        await audit.record(Act("eve", verb, what, 404, "the lane event of 404 waits"))
    await Jobs(pipe.redis, ACCOUNT).create("job-1", ["m1"], what="reason rejected, lane event")
    await views.save("Lane", {"lane": "event", "reason": "rejected", "code": "404"})
    await views.save("Of one", {"lane": "event", "match": "404"})
    for one in ("event", "reason", "404"):
        await erase(pipe, one)
    left = [act for act in await audit.latest(99) if "forget" not in act.verb]
    assert [(act.verb, act.what) for act in reversed(left)] == [*acts]
    assert {act.why for act in left} == {"the lane event of 404 waits"}
    assert [*await views.all()] == ["Lane"]
    job = await pipe.redis.hget(keys.job(ACCOUNT, "job-1"), "what")
    assert job == b"reason rejected, lane event"


async def test_an_id_that_stands_for_many_is_nobody_to_erase(pipe: Pipe) -> None:
    """As the settings say."""
    with pytest.raises(SharedId, match="SHARED_IDS"):
        await forgetting(pipe).plan("Guest")
