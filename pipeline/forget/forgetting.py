"""Erases a person: plan, erase, receipt; and looks whether anything is left.

What is removed may turn up again from a batch or a claim that a process had in hand, so all is looked through again
afterwards, and removed again if need be.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import redis.asyncio

from pipeline.clock import Clock
from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.errors import SailpipeError
from pipeline.forget.dry_calls import sweep_dry_calls
from pipeline.forget.lease import ErasureLease, hold_lease
from pipeline.forget.links import Resolver, sweep_links
from pipeline.forget.mailboxes import sweep_standing, take_boxes
from pipeline.forget.memory import sweep_keys, sweep_profiles
from pipeline.forget.outcomes import sweep_outcomes
from pipeline.forget.person import Person, spelled
from pipeline.forget.receipt import Receipt, Row, rows_of
from pipeline.forget.rewriting import Rewriting
from pipeline.forget.spaces import Space
from pipeline.forget.streams import sweep_letters, sweep_stream, sweep_wakeups
from pipeline.forget.words import sweep_alerts, sweep_audit, sweep_states, sweep_views
from pipeline.forget.work import Found, Place, Work
from pipeline.ownership.keyspace import Done
from pipeline.sailthru.answers import Accepted, Answer, Failure
from pipeline.sailthru.calls import Call
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.tombstones import id_field, keyed_hash, name_field

TOMBSTONE_MS = 86_400_000
"""For so long what was accepted of the person before is dropped: far longer than any process has a batch in hand."""
MAX_PASSES = 3
"""Passes that remove; who still sends events of the person can bring more at any time."""
KEY_BYTES = 32
DIGEST_BYTES = 8
SEALED = "hashes"
"""What the mark of an erasure holds, in the place of ids, once nothing but its receipt is missing."""
MAX_LEASE_MS = 120_000
"""A lease that seems to last longer was made by a clock that has been set back."""
BEGUN: Final = "forget begun"
"""The act that the audit trail has of an erasure from its begin on, whether it ends or not."""
CHANGED = "Other ids lead to this person by now: look at them again."
Ask: TypeAlias = Callable[[Call], Awaitable[Answer]]
"""Makes one call at Sailthru within the limits of all processes. Raises SailpipeError when it was not made."""


class NotErased(SailpipeError):
    """The person was not, or not wholly, erased; the sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is meant, and what there is of them. person: the first id names their mailboxes. left_out: linked ids that belong
    to another user by now -> that user. unproven: ids that are linked by what any visitor of a page could have said, and that
    stay. holders: other ids of which an address of theirs is remembered. is_unfinished: an erasure of them has begun and not
    ended."""

    person: Person
    found: Mapping[Space, Found]
    left_out: Mapping[str, str]
    unproven: Sequence[str]
    holders: Sequence[str]
    is_unfinished: bool = False

    @property
    def total(self) -> int:
        """Entries, keys and records that would be removed."""
        return sum(one.theirs for one in self.found.values())

    @property
    def named(self) -> int:
        """Events or records of other people that name this one."""
        return sum(one.named for one in self.found.values())

    @property
    def digest(self) -> str:
        """Of the ids: who has agreed to these has agreed to no others, to which a link may lead by then."""
        keys_said = json.dumps(sorted(self.person.keys)).encode()
        return blake2b(keys_said, digest_size=DIGEST_BYTES).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """One object, before anything is removed."""
        return {
            "ids": list(self.person.ids),
            "digest": self.digest,
            "left_out": list(self.left_out),
            "unproven": list(self.unproven),
            "unfinished": self.is_unfinished,
            "found": self.total,
            "named_by_others": self.named,
            "spaces": {space.value: one.theirs for space, one in self.found.items() if one.theirs},
        }


class Forgetting:
    """One account. Connection errors propagate; every verb may be repeated, also after a process was killed in it."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        account: str,
        clock: Clock,
        *,
        on_done: Done = lambda _: None,
        on_wait: Callable[[str], None] = lambda _: None,
        time_ms: Callable[[], int] | None = None,
    ) -> None:
        """on_done: told how many more things were looked at. on_wait: what is waited for. time_ms replaces Redis' clock in
        tests."""
        self.account = account
        self._redis = client
        self._settings = settings.account(account)
        self._clock = clock
        self._on_wait = on_wait
        others = frozenset(settings.accounts.keys() - {account})
        self._place = Place(client, account, others, on_done, time_ms)

    async def plan(self, identity: str, also: Sequence[str] = ()) -> Plan:
        """Find who is meant and count what there is. also: further ids of the same person.

        Raises SharedId: the id stands for many people; NotErased: it is empty.
        """
        ids = [one.strip() for one in (identity, *also)]
        if not all(ids):
            raise NotErased("The id is empty: give a userId, an anonymousId or an email.")
        resolver = Resolver(self._redis, self._settings)
        linked = await resolver.resolve(ids[0], ids[1:])
        person = resolver.person(linked)
        work = await self._pass(person, removes=False)
        left = linked.left_out, sorted(linked.unproven), sorted(work.holders)
        plan = Plan(person, dict(work.found), *left)
        return replace(plan, is_unfinished=bool(await self._unfinished(plan)))

    async def erase(
        self, plan: Plan, *, by: str, why: str = "", sailthru: Ask | None = None
    ) -> Receipt:
        """Remove all that is the person's. The audit trail says that it has begun, and has the receipt when it has ended.

        by: who asked. sailthru: also delete their profiles there, by this.

        Raises:
            ErasureUnderWay, ErasureLeaseLost: another erasure has the account's lease.
            NotErased: the profile could not be deleted at Sailthru; what was waiting is removed. Run it again.
        """
        async with hold_lease(self._redis, self.account, self._clock, self._on_wait) as lease:
            return await self._erase(plan, lease, by, why, sailthru)

    async def _erase(
        self, plan: Plan, lease: ErasureLease, by: str, why: str, sailthru: Ask | None
    ) -> Receipt:
        person, key = plan.person, await self._key()
        root, hashes = keyed_hash(key, person.ids[0]), await self._hashes(person, key)
        mark, ids = keys.forgetting(self.account), json.dumps(list(person.ids))
        await self._redis.hset(mark, root, ids)
        trail, why = AuditTrail(self._redis, self.account), person.redact(why)
        await trail.record(Act(by, BEGUN, f"person {root}", 0, why))
        removed = Counter[Space]()
        said = "" if sailthru is None else await self._delete(person, key, sailthru, removed)
        last, passes = await self._remove(person, key, lease, removed)
        if not last.left:
            # Redis' files are not to hold the ids, and who runs it again after a kill is to get the whole receipt.
            await self._redis.hset(mark, root, json.dumps({SEALED: sorted(hashes)}))
            if ended := [field for field in await self._unfinished(plan) if field != root.encode()]:
                await self._redis.hdel(mark, *ended)
        disk = await Rewriting(self._redis, self._clock, self._on_wait).rewrite()
        receipt = Receipt(
            account=self.account,
            person=root,
            hashes=tuple(sorted(hashes)),
            at_ms=await self._now_ms(),
            by=by,
            why=why,
            rows=rows_of(removed, last.found),
            disk=disk,
            sailthru=said,
            passes=passes,
        )
        await trail.record(receipt.act)
        if not last.left:
            await self._redis.hdel(mark, root)
        return receipt

    async def _hashes(self, person: Person, key: bytes) -> set[str]:
        """Of the person's ids, and of those that a run has erased which was killed before its receipt."""
        hashes = {keyed_hash(key, one) for one in person.keys}
        table: Any = await self._redis.hgetall(keys.forgetting(self.account))
        for text in table.values():
            sealed = json.loads(text)
            if isinstance(sealed, dict) and not hashes.isdisjoint(sealed[SEALED]):
                hashes.update(sealed[SEALED])
        return hashes

    async def _remove(
        self, person: Person, key: bytes, lease: ErasureLease, removed: Counter[Space]
    ) -> tuple[Work, int]:
        """Until a look finds nothing; that look, and how many passes there were."""
        passes = 0
        while True:
            passes += 1
            lease.check()
            await self._bury(person, key)
            work = await self._pass(person, removes=True, token=lease.token)
            removed.update(_counts(work))
            await self._until_over(work.leased_until)
            lease.check()
            last = await self._pass(person, removes=False)
            if not last.left or passes == MAX_PASSES:
                return last, passes

    async def check(self, identity: str, also: Sequence[str] = ()) -> Mapping[Space, Row]:
        """Look through everything once: `left` of a row is what is there of the person."""
        plan = await self.plan(identity, also)
        return rows_of({}, plan.found)

    async def _delete(
        self, person: Person, key: bytes, sailthru: Ask, removed: Counter[Space]
    ) -> str:
        """Take what waits, and what workers have in hand; then nothing makes a profile anew that is deleted."""
        await self._bury(person, key)
        work = Work(self._place, person, removes=True)
        await sweep_stream(work, keys.RAW, Space.RAW)
        await take_boxes(work, spelled(person.ids))
        removed.update(_counts(work))
        await self._until_over(work.leased_until)
        return await delete_profiles(person, sailthru)

    async def _bury(self, person: Person, key: bytes) -> None:
        fields = [id_field(key, one) for one in person.ids]
        fields += [name_field(key, name) for name in sorted(person.names)]
        work = Work(self._place, person, removes=True)
        args = [self._place.now, TOMBSTONE_MS, *dict.fromkeys(fields)]
        await work.run("bury", args, keys.RAW)

    async def _pass(self, person: Person, *, removes: bool, token: str = "") -> Work:
        """Through all spaces. What an event can come from is looked through before what it can go to."""
        work = Work(self._place, person, removes=removes, token=token)
        if removes:
            await take_boxes(work, spelled(person.ids))
        await sweep_stream(work, keys.HELD, Space.HELD)
        await sweep_stream(work, keys.RAW, Space.RAW)
        await sweep_letters(work)
        await sweep_outcomes(work)
        await sweep_dry_calls(work)
        await sweep_keys(work)
        if not removes:
            await sweep_standing(work)
        await sweep_wakeups(work)
        await sweep_links(work)
        await sweep_profiles(work)
        await sweep_states(work)
        await sweep_views(work)
        await sweep_alerts(work)
        await sweep_audit(work)
        return work

    async def _until_over(self, until_ms: int) -> None:
        """Wait for the end of a lease that was taken from a worker: a call that it has sent may take effect until then."""
        now_ms = await self._now_ms()
        until_ms = min(until_ms, now_ms + MAX_LEASE_MS)
        while now_ms < until_ms:
            self._on_wait("a worker had events of this person in hand; its lease runs out")
            await self._clock.sleep(min(0.5, (until_ms - now_ms) / 1000))
            now_ms = await self._now_ms()

    async def _unfinished(self, plan: Plan) -> list[bytes]:
        """The fields that name this person and no other, of this run and of those that were interrupted."""
        table: Any = await self._redis.hgetall(keys.forgetting(self.account))
        if not table:
            return []  # A look makes no key.
        key, found = await self._key(), []
        for field, text in table.items():
            ids = json.loads(text)
            if isinstance(ids, dict):
                is_theirs = any(keyed_hash(key, one) in ids[SEALED] for one in plan.person.ids)
            else:
                is_theirs = all(plan.person.is_named(one) or one in plan.left_out for one in ids)
            if is_theirs:
                found.append(field)
        return found

    async def _key(self) -> bytes:
        """What ids are hashed with; made at the first use."""
        name = keys.forget_key(self.account)
        await self._redis.set(name, secrets.token_hex(KEY_BYTES), nx=True)
        found: Any = await self._redis.get(name)
        return bytes.fromhex(found.decode())

    async def _now_ms(self) -> int:
        if self._place.time_ms is not None:
            return self._place.time_ms()
        seconds, micros = await self._redis.time()
        return seconds * 1000 + micros // 1000


def _counts(work: Work) -> dict[Space, int]:
    return {space: one.theirs for space, one in work.found.items()}


async def delete_profiles(person: Person, ask: Ask) -> str:
    """Delete the person's profiles at Sailthru, which takes an email alone; what became of it, as a clause.

    Raises NotErased.
    """
    if not person.emails:
        return "no email is known, and Sailthru deletes by email alone"
    deleted = 0
    for email in person.emails:
        answer = await ask(Call("DELETE", "/user", {"id": email, "key": "email"}))
        if isinstance(answer, Accepted):
            deleted += 1
        elif answer.failure is not Failure.USER_NOT_FOUND:
            raise NotErased(
                "Sailthru did not delete the profile"
                f" ({answer.failure.value}): what waited is removed, the rest is not. Run it again, or without"
                " --at-sailthru."
            )
    return f"{deleted} of {len(person.emails)} profiles were there and are deleted"
