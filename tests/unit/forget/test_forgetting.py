"""A person is erased from everything, and their neighbour from nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from pipeline import tombstones
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.states import GroupState, GroupStates
from pipeline.deadletters.views import SavedViews
from pipeline.dryrun.calls import KeptCalls
from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.forget import forgetting as module
from pipeline.forget import lease as lease_module
from pipeline.forget.forgetting import Forgetting, NotErased
from pipeline.forget.lease import ErasureLeaseLost, ErasureUnderWay
from pipeline.forget.links import SharedId
from pipeline.forget.receipt import Receipt
from pipeline.forget.rewriting import Rewriting
from pipeline.forget.spaces import Space
from pipeline.forget.streams import boxes_of
from pipeline.forget.work import Work
from pipeline.gates.gates import Closure
from pipeline.mailbox.reservations import Reservation
from pipeline.mapping.profile import profile_name
from pipeline.sailthru.answers import Accepted, Answer
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.tombstones import keyed_hash
from pipeline.trace.names import person_name
from tests.support.everything import names_of
from tests.support.fake_sailthru import REFUSED
from tests.support.mailboxes import delivered
from tests.support.pipe import ACCOUNT, Pipe, added, identify, open_pipe, order, page, track


@dataclass(frozen=True)
class Someone:
    """An id, an email and a device that no other text can be taken for."""

    user: str
    email: str
    device: str

    @property
    def ids(self) -> tuple[str, str, str]:
        return self.user, self.email, self.device


TEN_YEARS_MS = 10 * 365 * 86_400_000
SHARED = re.compile(rb":(trace|celery):")
ANN = Someone("user-ann-4711", "Ann.Smith@forget.example", "device-ann-aa77")
BOB = Someone("user-bob-0815", "bob.jones@forget.example", "device-bob-bb88")


@pytest.fixture
async def pipe(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pipe]:
    """A pipeline on a real Redis, whose time is another than the pipeline's."""
    monkeypatch.setattr(module, "TOMBSTONE_MS", TEN_YEARS_MS)
    async with redis.asyncio.Redis.from_url(redis_url) as client, open_pipe(client=client) as pipe:
        yield pipe


def forgetting(pipe: Pipe, **more: Any) -> Forgetting:
    return Forgetting(pipe.redis, pipe._all, ACCOUNT, pipe.clock, time_ms=pipe.now_ms, **more)


async def everywhere(pipe: Pipe, who: Someone) -> None:
    """Into every space, by what writes there."""
    who_is = identify(who.user, traits={"email": who.email}, anonymousId=who.device)
    await pipe.post(who_is, {"type": "track", "anonymousId": who.device, "event": "Visited"})
    await pipe.post(added(who.user), page(who.user), order(who.user, f"o-{who.user[-4:]}"))
    await pipe.run(30)
    trouble = pipe.sailthru.trouble(REFUSED, on="POST /event", about=who.user)
    await pipe.post(track(who.user, "Dies"))
    await pipe.run(30)
    pipe.sailthru.troubles.remove(trouble)
    await pipe.post({"type": "nonsense", "userId": who.user, "traits": {"email": who.email}})
    await pipe.post_raw([{"event": f'{{"userId": "{who.user}", "broken'}])
    for number in range(6):
        shown = {"email": f"{number}{who.device[-2:]}x@others.example"}
        await pipe.post(identify(f"shared-{who.device[-2:]}", traits=shown))
    mail = {"context": {"traits": {"email": who.email}}, "anonymousId": who.device}
    await pipe.post(track(f"shared-{who.device[-2:]}") | mail)
    await pipe.run(30)


async def by_people(pipe: Pipe, who: Someone) -> None:
    """What operators leave."""
    audit = AuditTrail(pipe.redis, ACCOUNT)
    await audit.record(Act("eve", "replay", f"user {who.user}", 1, f"{who.email} has asked"))
    await Jobs(pipe.redis, ACCOUNT).create(f"job-{who.user[-4:]}", ["m1"], what=f"user {who.user}")
    await GroupStates(pipe.redis, ACCOUNT).set(
        f"f{who.user[-4:]}", GroupState.IGNORED, "eve", f"as {who.email} wished"
    )
    view = {"match": who.user, "reason": "rejected"}
    await SavedViews(pipe.redis, ACCOUNT).save(f"Letters of {who.device[:10]}", view)
    closure = Closure(f"POST /{who.user[-4:]}", "circuit", 1, 1, f"no {who.email}")
    await pipe.gates.close(closure)
    dry = Call("POST", "/event", {"id": who.user, "key": "extid", "vars": {"mail": who.email}})
    await KeptCalls(pipe.redis, ACCOUNT).add(dry, who.user, ["m1"])
    await KeptCalls(pipe.redis, ACCOUNT).add(dry)
    found = keys.found(ACCOUNT, profile_name("extid", who.user))
    await pipe.redis.set(found, "1")


async def waiting(pipe: Pipe, *people: Someone) -> None:
    """In mailboxes, one of them in a worker's hand; named by a wake-up; in the raw stream, and held."""
    await pipe.pause("account")
    for who in people:
        await pipe.post(track(who.user, "Waits"), order(who.user, f"w-{who.user[-4:]}"))
        await pipe.post(track(who.user) | {"messageId": f"held-{who.user}"[-9:]})
    body = [[ACCOUNT, "event", [who.user for who in people]], {}, {}]
    message = {"body": base64.b64encode(json.dumps(body).encode()).decode()}
    await pipe.redis.rpush(keys.celery_queue("event"), json.dumps(message))
    await pipe.post_raw([{"event": json.dumps(track(people[0].user)), "account": "unknown"}])
    for number, who in enumerate(people):
        await pipe._accept({"event": json.dumps(track(who.user, "Is queued"))}, 90_000 + number)


async def neighbours(pipe: Pipe, who: Someone, but: Someone) -> Counter[tuple[bytes, bytes]]:
    """All texts that name this person and not the other. What two share, blocks and wake-ups, is written anew."""
    theirs, others = await names_of(pipe.redis, *who.ids), await names_of(pipe.redis, *but.ids)
    return Counter(pair for pair in theirs if pair not in others and not SHARED.search(pair[0]))


async def conserved(pipe: Pipe) -> int:
    """Events accepted and derived, by where they are: the sum that `status` shows."""
    counts = await pipe.counts()
    ends = ("delivered", "dead:", "ignored:", "duplicates", "waiting:", "removed")
    raw = int(await pipe.redis.xlen(keys.RAW) + await pipe.redis.xlen(keys.HELD))
    return raw + sum(n for name, n in counts.items() if name.startswith(ends))


async def test_no_key_names_a_person_who_was_erased_and_the_neighbours_data_are_as_they_were(
    pipe: Pipe,
) -> None:
    """Whatever they did, and whatever is compressed; what waits of the neighbour is delivered."""
    for who in (ANN, BOB):
        await everywhere(pipe, who)
    await waiting(pipe, ANN, BOB)
    for who in (ANN, BOB):
        await by_people(pipe, who)
    outcomes = set(await pipe.outcomes(person_name(BOB.user)))
    before, events = await neighbours(pipe, BOB, ANN), await conserved(pipe)
    kinds = {
        key.split(b":")[-1 if key.count(b":") < 2 else 2]
        for key, _ in await names_of(pipe.redis, *ANN.ids)
    }
    assert {b"user", b"cart", b"cart-of", b"mail", b"dead", b"trace", b"audit", b"jobs"} <= kinds
    assert {b"seen", b"aliases", b"died", b"gates", b"due"} <= kinds

    plan = await forgetting(pipe).plan(ANN.email.upper())
    assert {*plan.person.keys} == {ANN.user, ANN.email.lower(), ANN.device}
    there = {space for space, found in plan.found.items() if found.theirs}
    assert there == set(Space)
    receipt = await forgetting(pipe).erase(plan, by="eve", why=f"{ANN.email} has asked")

    assert await names_of(pipe.redis, *ANN.ids) == []
    assert (receipt.left, receipt.passes) == (0, 1)
    assert receipt.rows[Space.MAILBOXES].removed == 3
    assert await neighbours(pipe, BOB, ANN) == before
    assert await conserved(pipe) == events
    assert set(await pipe.outcomes(person_name(BOB.user))) == outcomes
    (message,) = await pipe.redis.lrange(keys.celery_queue("event"), 0, -1)
    assert boxes_of(message) == [BOB.user]
    act, *_ = await AuditTrail(pipe.redis, ACCOUNT).latest(1)
    assert (act.verb, act.by, act.why) == ("forget", "eve", "*** has asked")
    assert json.loads(act.receipt) == receipt.as_json()
    assert receipt.as_json()["spaces"]["dead letters"]["removed"] >= 3

    await pipe.resume("account")
    for scope in (f"POST /{who.user[-4:]}" for who in (ANN, BOB)):
        await pipe.gates.open(scope, "circuit")
    await pipe._split()
    sent = len(pipe.sailthru.sent)
    await pipe.run(60)
    later = [json.dumps(dict(one.call.params)) for one in pipe.sailthru.sent[sent:]]
    assert any("w-0815" in one or "Waits" in one for one in later)
    assert not any(ANN.user in one or ANN.email in one for one in later)
    assert sum("Is queued" in one or "Waits" in one for one in later) == 2
    assert await names_of(pipe.redis, *ANN.ids) == []


async def known(pipe: Pipe, who: Someone) -> None:
    """Identified, with a device."""
    await pipe.post(identify(who.user, traits={"email": who.email}, anonymousId=who.device))
    await pipe.run(5)


async def erase(pipe: Pipe, identity: str, **more: Any) -> Receipt:
    doing = forgetting(pipe)
    return await doing.erase(await doing.plan(identity), by="eve", **more)


async def test_a_worker_that_has_a_mailbox_in_hand_can_write_nothing_of_it(pipe: Pipe) -> None:
    """The receipt comes when its lease is over: no call that it had sent takes effect after that."""
    await known(pipe, ANN)
    await pipe.post(track(ANN.user), order(ANN.user, "o-1"), track(BOB.user))
    assert ANN.user in await pipe.lease(Lane.EVENT)
    claim = await pipe.store.claim(Lane.EVENT, ANN.user, most=9)
    bought = await pipe.lease(Lane.PURCHASE)
    order_claim = await pipe.store.claim(Lane.PURCHASE, bought[0], most=9)
    assert claim is not None
    assert order_claim is not None
    await pipe.store.record_intent(order_claim, "{}", Reservation("o-1", "ab12", 60_000))
    began = pipe.clock.now()
    receipt = await erase(pipe, ANN.email)
    assert pipe.clock.now() - began >= pipe.settings.lease - 1
    for one in (claim, order_claim):
        with pytest.raises(StaleClaim):
            await pipe.store.settle(
                delivered(one, learn={"identified": "1"}, cart="[]", cart_keep_ms=9)
            )
        assert await pipe.store.renew([one]) == [one]
        with pytest.raises(StaleClaim):
            await pipe.store.record_intent(one, "{}")
    assert await names_of(pipe.redis, *ANN.ids, "o-1") == []
    assert receipt.rows[Space.MAILBOXES].removed == 2
    assert (await pipe.counts())["removed"] == 2
    await pipe.run(30)
    assert {one.params["id"] for one in pipe.sailthru.calls("POST /event")} == {BOB.user}
    assert pipe.sailthru.calls("POST /purchase") == []


async def test_a_batch_that_the_splitter_has_in_hand_is_dropped_and_counted(pipe: Pipe) -> None:
    """It was read and routed before; what others sent in it is split."""
    await known(pipe, ANN)
    for number, one in enumerate(
        [track(ANN.user), track(BOB.user), {"type": "nonsense", "userId": ANN.user}]
    ):
        await pipe._accept({"event": json.dumps(one)}, 1_000 + number)
    await pipe.redis.set(keys.SPLITTER, "splitter")
    stream, move = pipe._splitter._stream, pipe._splitter._stream.move

    async def erase_first(batch: Any, fence: Any) -> Any:
        stream.move = move  # type: ignore[method-assign]
        doing = forgetting(pipe)
        plan = await doing.plan(ANN.user)
        with (
            pytest.MonkeyPatch.context() as patch
        ):  # the process is killed before it gets to the raw stream
            patch.setattr(module, "sweep_stream", nothing)
            patch.setattr(module, "MAX_PASSES", 1)
            await doing.erase(plan, by="eve")
        return await move(batch, fence)

    stream.move = erase_first  # type: ignore[method-assign, assignment]
    assert await pipe._splitter.step() == 0
    assert await pipe._splitter.step() == 3
    assert await pipe.waiting(Lane.EVENT, BOB.user) != []
    assert (await pipe.counts())["removed"] == 2
    assert await pipe.redis.hget(keys.counts(ACCOUNT), "came_in:redis:other") == b"1"
    receipt = await erase(pipe, ANN.email)
    assert await names_of(pipe.redis, *ANN.ids) == []
    assert receipt.left == 0
    pipe.clock.advance(1)
    await pipe.post(track(ANN.user, "Is back"))
    assert await pipe.waiting(Lane.EVENT, ANN.user) != []


async def nothing(*_: Any) -> None:
    """A step that is left out."""


async def test_outcomes_that_a_process_has_not_written_yet_never_are(pipe: Pipe) -> None:
    """Those of the person; the neighbour's of the same half second are."""
    await known(pipe, ANN)
    await known(pipe, BOB)
    await pipe.post(track(ANN.user, anonymousId=ANN.device) | {"integrations": {"Sailthru": False}})
    await erase(pipe, ANN.user)
    assert await pipe.outcomes(*map(person_name, ANN.ids)) == []
    assert [one.user for one in await pipe.outcomes(person_name(BOB.user))] == [BOB.user]
    await pipe.post(track(ANN.user, "Is back"))
    await pipe.run(5)
    assert [one.what for one in await pipe.outcomes(person_name(ANN.user))] == ["Is back"]


async def test_an_erasure_that_is_killed_anywhere_is_ended_by_the_next(pipe: Pipe) -> None:
    """Though it was begun by an email, which is forgotten first."""
    await known(pipe, ANN)
    await known(pipe, BOB)
    await pipe.post({"type": "nonsense", "userId": ANN.user})
    await waiting(pipe, ANN, BOB)
    await pipe.outcomes()
    events, run, kills = await conserved(pipe), Scripts.run, 0

    class Killed(BaseException):
        """As SIGKILL."""

    for most in range(1, 200):
        left = most

        async def some(scripts: Scripts, *args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return await run(scripts, *args, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Scripts, "run", some)
            try:
                receipt = await erase(pipe, ANN.email)
                break
            except Killed:
                kills += 1
    assert kills > 10
    assert await names_of(pipe.redis, *ANN.ids) == []
    assert await conserved(pipe) == events
    assert (receipt.left, len(receipt.hashes)) == (0, 3)
    assert await pipe.waiting(Lane.EVENT, BOB.user) != []


async def test_the_profile_at_sailthru_is_deleted_once_no_worker_can_make_it_anew(
    pipe: Pipe,
) -> None:
    """By its email. While Sailthru refuses, who is who is kept, so that it can be run again."""
    await known(pipe, ANN)
    await pipe.pause("account")
    await pipe.post(track(ANN.user))
    asked: list[Call] = []

    async def refuse(call: Call) -> Answer:
        asked.append(call)
        assert await pipe.waiting(Lane.EVENT, ANN.user) == []
        return REFUSED

    async def take(call: Call) -> Answer:
        asked.append(call)
        return Accepted(200, {"ok": True})

    with pytest.raises(NotErased, match="did not delete"):
        await erase(pipe, ANN.user, sailthru=refuse, why=f"{ANN.email} asked")
    (begun,) = await AuditTrail(pipe.redis, ACCOUNT).latest(9)
    assert (begun.verb, begun.by, begun.why) == ("forget begun", "eve", "*** asked")
    receipt = await erase(pipe, ANN.device, sailthru=take)
    assert [(one.bucket, *one.params.values()) for one in asked] == [
        ("DELETE /user", ANN.email.lower(), "email")
    ] * 2
    assert receipt.sailthru == "1 of 1 profiles were there and are deleted"
    assert begun.what == f"person {await person_hash(pipe, ANN.user)}"
    assert await names_of(pipe.redis, *ANN.ids) == []


async def person_hash(pipe: Pipe, identity: str) -> str:
    key = await pipe.redis.get(keys.forget_key(ACCOUNT))
    return keyed_hash(bytes.fromhex(key.decode()), identity)


async def test_what_is_left_is_said_with_its_place(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is looked through again after it was removed, three times at most."""
    await known(pipe, ANN)
    monkeypatch.setattr(module, "take_boxes", nothing)
    await pipe.pause("account")
    await pipe.post(track(ANN.user))
    monkeypatch.setattr("pipeline.forget.memory.take_boxes", nothing)
    receipt = await erase(pipe, ANN.user)
    assert (receipt.left, receipt.passes, receipt.is_clean) == (1, 3, False)
    assert receipt.rows[Space.MAILBOXES].left == 1
    assert "1 left" in receipt.in_words()
    found = await forgetting(pipe).check(ANN.email)
    assert {space: row.left for space, row in found.items() if row.left} == {Space.MAILBOXES: 1}


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


async def test_people_who_are_erased_at_once_leave_the_audit_trail_whole(pipe: Pipe) -> None:
    """One after the other: who comes second waits, or is told."""
    audit = AuditTrail(pipe.redis, ACCOUNT)
    for number in range(520):
        why = f"as {ANN.user if number % 2 else BOB.user} asked"
        await audit.record(Act("eve", "drop", f"letter {number}", 1, why))
    plans = [await forgetting(pipe).plan(one.user) for one in (ANN, BOB)]
    before = await pipe.redis.xlen(keys.audit(ACCOUNT))
    ends = await asyncio.gather(
        *(forgetting(pipe).erase(plan, by="eve") for plan in plans), return_exceptions=True
    )
    written = [one for one in ends if isinstance(one, Receipt)]
    assert written
    assert all(isinstance(one, Receipt | ErasureUnderWay) for one in ends)
    acts = [act.verb for act in await audit.latest(9_999)]
    assert acts.count("drop") == before
    for plan in plans:
        assert (await forgetting(pipe).erase(plan, by="eve")).is_clean
    assert await names_of(pipe.redis, ANN.user, BOB.user) == []
    assert not await pipe.redis.exists(keys.forget_lease(ACCOUNT))


async def test_an_erasure_that_has_lost_its_lease_stops_and_puts_no_copy_in_place(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process stood still, and another has it by now."""
    await AuditTrail(pipe.redis, ACCOUNT).record(Act("eve", "drop", "", 1, f"as {ANN.user} asked"))
    monkeypatch.setattr(lease_module, "LEASE_S", 0.3)
    plan, run = await forgetting(pipe).plan(ANN.user), Work.run
    lease = keys.forget_lease(ACCOUNT)

    async def stand_still(work: Work, script: str, *args: Any) -> Any:
        if script == "swap_audit" and await pipe.redis.get(lease) != b"another":
            await pipe.redis.set(lease, "another")
            await asyncio.sleep(0.2)
            assert await run(work, script, *args) == 0
        return await run(work, script, *args)

    monkeypatch.setattr(Work, "run", stand_still)
    with pytest.raises(ErasureLeaseLost):
        await forgetting(pipe).erase(plan, by="eve")
    assert await pipe.redis.get(lease) == b"another"
    _, act = await AuditTrail(pipe.redis, ACCOUNT).latest(9)
    assert act.why == f"as {ANN.user} asked"


async def test_an_id_that_stands_for_many_is_nobody_to_erase(pipe: Pipe) -> None:
    """As the settings say."""
    with pytest.raises(SharedId, match="SHARED_IDS"):
        await forgetting(pipe).plan("Guest")


async def test_redis_files_are_written_anew(pipe: Pipe) -> None:
    """The append-only file and the snapshot hold what was removed until then."""
    client = pipe.redis
    folder = Path((await client.config_get("dir"))["dir"])
    await client.config_set("save", "3600 100000")
    await client.config_set("appendonly", "yes")
    try:
        await known(pipe, ANN)
        await until_written(client, folder, ANN.email.encode())
        receipt = await erase(pipe, ANN.user)
        assert (receipt.disk.is_clean, receipt.is_whole) == (True, True)
        assert receipt.disk.text == "append-only file rewritten; snapshot rewritten"
        assert not holds(folder, ANN.email.encode())
    finally:
        await client.config_set("appendonly", "no")
        await client.config_set("save", "")


async def until_written(client: Any, folder: Path, text: bytes) -> None:
    """Redis writes its file a second later at most."""
    for _ in range(100):
        if holds(folder, text):
            return
        await asyncio.sleep(0.05)
    pytest.fail("Redis has written no file")


def holds(folder: Path, text: bytes) -> bool:
    """Whether a file of Redis' holds a text."""
    return any(text in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@asynccontextmanager
async def narrow(pipe: Pipe, *rights: str) -> AsyncIterator[Forgetting]:
    """As a user of Redis who may not do everything."""
    client, name = pipe.redis, "narrow"
    url = client.connection_pool.connection_kwargs
    allowed = "on", ">pw", "~*", "&*", "+@all", *rights
    await client.execute_command("ACL", "SETUSER", name, *allowed)
    try:
        address = f"redis://{name}:pw@{url['host']}:{url['port']}/0"
        async with redis.asyncio.Redis.from_url(address) as one:
            yield Forgetting(one, pipe._all, ACCOUNT, pipe.clock, time_ms=pipe.now_ms)
    finally:
        await client.execute_command("ACL", "DELUSER", name)


async def test_a_redis_that_forbids_it_is_said(pipe: Pipe) -> None:
    """The receipt is not whole then: the file still holds the person."""
    await pipe.redis.config_set("appendonly", "yes")
    try:
        async with narrow(pipe, "-bgrewriteaof") as doing:
            receipt = await doing.erase(await doing.plan(ANN.user), by="eve")
    finally:
        await pipe.redis.config_set("appendonly", "no")
    assert (receipt.is_clean, receipt.is_whole) == (True, False)
    assert receipt.disk.text.startswith("Redis forbids BGREWRITEAOF (")


async def test_the_splitter_reads_tombstones_once_and_hashes_no_id_of_what_came_later(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a clean-up of thousands of people each batch would else read and hash them all for a day."""
    await known(pipe, ANN)
    await erase(pipe, ANN.user)
    await pipe.redis.config_resetstat()
    hashed: list[str] = []

    def hash_it(_: bytes, one: str) -> str:
        hashed.append(one)
        return one

    monkeypatch.setattr(tombstones, "id_field", hash_it)
    for _ in range(3):
        await pipe.post(track(ANN.user, "Is back"), track(BOB.user))
    stats = await pipe.redis.info("commandstats")
    read = [name for name in stats if name.startswith("cmdstat_hgetall")]
    assert hashed == []
    assert sum(stats[name]["calls"] for name in read) == 1


async def test_a_redis_that_does_not_say_what_it_keeps_is_not_called_clean(pipe: Pipe) -> None:
    """Many a hosted one forbids CONFIG and makes snapshots: one that is known of is written anew."""
    await pipe.redis.config_set("save", "3600 100000")
    folder = Path((await pipe.redis.config_get("dir"))["dir"])

    async def none_yet(_: Rewriting) -> dict[str, Any]:
        return {"aof_enabled": 0, "rdb_last_bgsave_time_sec": -1}

    try:
        async with narrow(pipe, "-config") as doing:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Rewriting, "_info", none_yet)
                unsaid = await doing.erase(await doing.plan(ANN.user), by="eve")
            await known(pipe, ANN)
            await pipe.redis.bgsave()
            await until_written(pipe.redis, folder, ANN.user.encode())
            saved = await doing.erase(await doing.plan(ANN.user), by="eve")
        assert ANN.user.encode() not in (folder / "dump.rdb").read_bytes()
    finally:
        await pipe.redis.config_set("save", "")
    assert (unsaid.is_clean, unsaid.is_whole) == (True, False)
    assert unsaid.disk.text.startswith("Redis does not say whether it keeps snapshots")
    assert (saved.is_whole, saved.disk.text) == (True, "snapshot rewritten")


async def test_a_redis_that_keeps_no_file_may_have_one_that_was_made_by_hand(pipe: Pipe) -> None:
    """The receipt does not say that there is none."""
    receipt = await erase(pipe, ANN.user)
    assert receipt.disk.text.startswith("Redis keeps no file by its settings; a dump.rdb")
