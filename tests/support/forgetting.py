"""Two people, all that sailpipe keeps of them, and the erasure of one."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.deadletters.audit import Act, AuditTrail
from pipeline.deadletters.jobs import Jobs
from pipeline.deadletters.states import GroupState, GroupStates
from pipeline.deadletters.views import SavedViews
from pipeline.dryrun.calls import KeptCalls
from pipeline.forget.forgetting import Forgetting
from pipeline.forget.receipt import Receipt
from pipeline.gates.gates import Closure
from pipeline.mapping.profile import profile_name
from pipeline.sailthru.calls import Call
from pipeline.storage import keys
from pipeline.tombstones import keyed_hash
from tests.support.everything import names_of
from tests.support.fake_sailthru import REFUSED
from tests.support.pipe import ACCOUNT, Pipe, added, identify, order, page, track


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


async def known(pipe: Pipe, who: Someone) -> None:
    """Identified, with a device."""
    await pipe.post(identify(who.user, traits={"email": who.email}, anonymousId=who.device))
    await pipe.run(5)


async def erase(pipe: Pipe, identity: str, **more: Any) -> Receipt:
    doing = forgetting(pipe)
    return await doing.erase(await doing.plan(identity), by="eve", **more)


async def nothing(*_: Any) -> None:
    """A step that is left out."""


async def person_hash(pipe: Pipe, identity: str) -> str:
    key = await pipe.redis.get(keys.forget_key(ACCOUNT))
    return keyed_hash(bytes.fromhex(key.decode()), identity)
