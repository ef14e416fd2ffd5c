"""What people wrote down themselves, filters and reasons, without the ids of the person; and who died, for the brake."""

from __future__ import annotations

import json
from typing import Any

from pipeline.forget.spaces import Space
from pipeline.forget.work import Work
from pipeline.storage import keys
from pipeline.storage.numbers import AUDIT_KEPT

ACTS = 500
"""Acts of the audit trail that are read and written at a time."""
COPY_LIFE_MS = 3_600_000
"""For so long the copy of an audit trail stays that an interrupted run has left: it names the person no more."""
COPY_TRIES = 5
_SAID = (b"what", b"why")
_OF_VIEWS = b" view"
"""Acts whose `what` is the name of a view, not a filter."""
_PROSE = frozenset({"why", "detail"})
_OF_JOB = ("what", "why", "detail")


async def sweep_audit(work: Work) -> None:
    """The trail keeps who did what when; ids in it are replaced. A stream's entries cannot be changed, so it is copied."""
    for _ in range(COPY_TRIES):
        acts = await _read_audit(work)
        changed = sum(fields != _redacted(work, fields) for _, fields in acts)
        work.see(Space.AUDIT, len(acts), theirs=changed)
        if not changed or not work.removes or await _replace_audit(work, acts):
            return
        work.see(Space.AUDIT, 0, theirs=-changed)  # an act was added meanwhile: again


async def _read_audit(work: Work) -> list[tuple[bytes, dict[bytes, bytes]]]:
    found: list[tuple[bytes, dict[bytes, bytes]]] = []
    begin = "-"
    while page := await _read_page(work, begin):
        found += page
        begin = f"({page[-1][0].decode()}"
        if len(found) > 2 * AUDIT_KEPT:  # trimmed in whole nodes, it is never twice as long
            break
    return found


async def _read_page(work: Work, begin: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
    page: Any = await work.redis.xrange(keys.audit(work.account), begin, "+", count=ACTS)
    return list(page)


def _redacted(work: Work, fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    is_filter = not fields.get(b"verb", b"").endswith(_OF_VIEWS)
    said = {name: fields[name].decode("utf-8", "replace") for name in _SAID if name in fields}
    return fields | {
        name: _without(work, text, is_filter=is_filter and name == b"what").encode()
        for name, text in said.items()
    }


def _without(work: Work, text: str, *, is_filter: bool) -> str:
    return work.person.redact_filter(text) if is_filter else work.person.redact(text)


async def _replace_audit(work: Work, acts: list[tuple[bytes, dict[bytes, bytes]]]) -> bool:
    """False when an act was added meanwhile, or the lease is another's."""
    copy = keys.audit_copy(work.account, work.token)
    await work.redis.unlink(copy)
    for start in range(0, len(acts), ACTS):
        async with work.redis.pipeline(transaction=False) as pipe:
            for sid, fields in acts[start : start + ACTS]:
                row: Any = _redacted(work, fields)
                pipe.xadd(copy, row, id=sid)
            pipe.pexpire(copy, COPY_LIFE_MS)
            await pipe.execute()
    swapped = copy, keys.forget_lease(work.account)
    return bool(await work.run("swap_audit", [acts[-1][0], len(acts), work.token], *swapped))


async def sweep_states(work: Work) -> None:
    """Why a group of letters is acknowledged or ignored."""
    key = keys.dead_states(work.account)
    table: Any = await work.redis.hgetall(key)
    await _redact_table(work, key, table)


async def sweep_views(work: Work) -> None:
    """Filters that people saved: one that names the person, by its name or by what it looks for, is removed."""
    key = keys.dead_views(work.account)
    table: Any = await work.redis.hgetall(key)
    for field, text in table.items():
        name, searched = field.decode("utf-8", "replace"), json.loads(text).get("match", "")
        is_theirs = work.person.redact(name) != name or work.person.is_meant_by(searched)
        work.see(Space.WORDS, theirs=is_theirs)
        if is_theirs and work.removes:
            await work.run("swap", [field, text, ""], key)


async def sweep_alerts(work: Work) -> None:
    """Why an alert was sent: it may say why a gate is closed."""
    table: Any = await work.redis.hgetall(keys.ALERTS)
    account = f"|{work.account}|".encode()
    own = {field: text for field, text in table.items() if account in field}
    await _redact_table(work, keys.ALERTS, own)


async def redact_gates(work: Work, scope: str) -> None:
    """Why a gate is closed."""
    key = keys.gates(work.account, scope)
    table: Any = await work.redis.hgetall(key)
    await _redact_table(work, key, table)


async def _redact_table(work: Work, key: str, table: dict[bytes, bytes]) -> None:
    for field, text in table.items():
        said = json.loads(text)
        new = _without_ids(work, said)
        work.see(Space.WORDS, theirs=new != said)
        if new != said and work.removes:
            await work.run("swap", [field, text, json.dumps(new)], key)


def _without_ids(work: Work, said: dict[str, Any]) -> dict[str, Any]:
    """With the prose in an object redacted, at any depth."""
    new = dict(said)
    for name, value in said.items():
        if isinstance(value, dict):
            new[name] = _without_ids(work, value)
        elif name in _PROSE and isinstance(value, str):
            new[name] = work.person.redact(value)
    return new


async def redact_job(work: Work, identity: str) -> None:
    """The filter of a replay, and why it was asked for."""
    key = keys.job(work.account, identity)
    found: Any = await work.redis.hmget(key, *_OF_JOB)
    for field, text in zip(_OF_JOB, found, strict=True):
        said = (text or b"").decode("utf-8", "replace")
        new = _without(work, said, is_filter=field == "what").encode()
        is_theirs = bool(text) and new != text
        work.see(Space.WORDS, field == "what", theirs=is_theirs)
        if is_theirs and work.removes:
            await work.run("swap", [field, text, new], key)


async def redact_deaths(work: Work, lane: str) -> None:
    """Whose events died lately in a lane."""
    key = keys.deaths(work.account, lane)
    rows: Any = await work.redis.zrange(key, 0, -1)
    theirs = [row for row in rows if work.person.is_named(str(json.loads(row)[1]))]
    work.see(Space.DEATHS, len(rows), theirs=len(theirs))
    if theirs and work.removes:
        await work.redis.zrem(key, *theirs)
