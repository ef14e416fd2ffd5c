"""A person is erased from everything, and their neighbour from nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pipeline import tombstones
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.errors import StaleClaim
from pipeline.events.models import Lane
from pipeline.forget import forgetting as module
from pipeline.forget import lease as lease_module
from pipeline.forget.forgetting import NotErased
from pipeline.forget.lease import ErasureLeaseLost, ErasureUnderWay
from pipeline.forget.receipt import Receipt
from pipeline.forget.spaces import Space
from pipeline.forget.streams import boxes_of
from pipeline.forget.work import Work
from pipeline.mailbox.reservations import Reservation
from pipeline.sailthru.answers import Accepted, Answer
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from pipeline.storage.scripts import Scripts
from pipeline.trace.names import person_name
from tests.support.everything import names_of
from tests.support.fake_sailthru import REFUSED
from tests.support.forgetting import (
    ANN,
    BOB,
    by_people,
    conserved,
    erase,
    everywhere,
    forgetting,
    known,
    neighbours,
    nothing,
    person_hash,
    waiting,
)
from tests.support.mailboxes import delivered
from tests.support.pipe import ACCOUNT, Pipe, order, track


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
