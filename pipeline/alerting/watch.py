"""Watches for trouble, and posts it. Every process does; one at a time has the turn, by a key in Redis.

What was told is in Redis, so that any process goes on where another stopped. Of a Redis that is away each process tells
by itself. Nothing else waits for any of this.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Final

import httpx
import redis.asyncio
import redis.exceptions

from pipeline.alerting.message import body_of
from pipeline.alerting.rules import Bounds, Kind, Trouble, troubles
from pipeline.alerting.told import Comparison, State, Told, compare
from pipeline.clock import Clock
from pipeline.observe.logs import log_event
from pipeline.sailthru.transport import open_http
from pipeline.settings import Settings
from pipeline.status.refused import REFUSED_WITHIN_MS, read_marks, refused_since
from pipeline.status.snapshot import Snapshot, read_snapshot
from pipeline.storage import keys
from pipeline.storage.redis_errors import FORBIDDEN, explain
from pipeline.storage.redis_watch import RedisWatch

EVERY_S: Final = 5.0
"""How often a process asks for the turn."""
TURN_MS: Final = 9_000
"""For how long it has it: longer than a turn takes, whatever ALERT_URL does."""
POST_S: Final = 4.0
"""Seconds that a post may take. All of a turn go at once."""
POSTS_A_TURN: Final = 20
PATIENCE_S: Final = 30.0
"""For so long Redis may be away, as in a restart, before a person is told."""
SAID_AGAIN_S: Final = 60.0
"""How often a process logs that posting fails."""
_HEADERS = {"User-Agent": "sailpipe", "Content-Type": "application/json"}
_REDIS_KINDS: dict[str, Kind] = {"full": "redis_full", "read_only": "redis_read_only"}


class AlertWatch:
    """One process's part in it."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        settings: Settings,
        http: httpx.AsyncBaseTransport | None,
        clock: Clock,
        redis_watch: RedisWatch | None = None,
    ) -> None:
        """The caller opens and closes `client` and `http`, which may be None without ALERT_URL."""
        self._redis = client
        self._settings = settings
        self._http = http
        self._clock = clock
        self._redis_watch = redis_watch
        self._bounds = Bounds(settings.alert_late, settings.alert_letters)
        self._away_since: float | None = None
        self._away: Told | None = None
        self._failed_at: float | None = None

    async def run(self) -> None:
        """Take turns until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.turn()
            except Exception as error:  # noqa: BLE001 - a mistake here must stop no delivery, and is said
                self._log_failure(type(error).__name__)

    async def turn(self) -> None:
        """One look, if no other process has the turn."""
        try:
            if await self._redis.set(keys.ALERTS_TURN, "1", nx=True, px=TURN_MS):
                await self._look()
        except redis.exceptions.RedisError as error:
            await self._redis_away(error)
        else:
            await self._redis_back()

    async def _look(self) -> None:
        seen = await read_snapshot(self._redis, self._settings)
        stored: Any = await self._redis.hgetall(keys.ALERTS)
        before = {name.decode(): Told.decode(text) for name, text in stored.items()}
        refused = await self._refused(seen)
        turn = compare(before, troubles(seen, refused, self._bounds), seen.now_ms)
        await self._write(before, turn)
        said = await asyncio.gather(
            *(self._say(told, state) for told, state in turn.to_say[:POSTS_A_TURN])
        )
        for (told, state), is_said in zip(turn.to_say, said, strict=False):
            if is_said:
                await self._note(told, state)
        if failed := said.count(False):
            await self._redis.incrby(keys.ALERTS_FAILED, failed)

    async def _refused(self, seen: Snapshot) -> int:
        """Requests that were refused in the last minutes; what they were then is kept once a minute."""
        total, now_ms = sum(seen.refusals.values()), seen.now_ms
        stored: Any = await self._redis.get(keys.ALERTS_REFUSED)
        marks = read_marks(stored, now_ms)
        if not marks or now_ms - marks[-1][0] >= REFUSED_WITHIN_MS // 5:
            marks.append((now_ms, total))
            await self._redis.set(keys.ALERTS_REFUSED, json.dumps(marks), px=REFUSED_WITHIN_MS)
        return refused_since(marks, total)

    async def _write(self, before: dict[str, Told], turn: Comparison) -> None:
        changed: Any = {
            name: one.encode() for name, one in turn.kept.items() if before.get(name) != one
        }
        async with self._redis.pipeline(transaction=True) as pipe:
            if changed:
                pipe.hset(keys.ALERTS, mapping=changed)
            if turn.forgotten:
                pipe.hdel(keys.ALERTS, *turn.forgotten)
            await pipe.execute()

    async def _note(self, told: Told, state: State) -> None:
        """That a person was told."""
        if state == "resolved":
            await self._redis.hdel(keys.ALERTS, told.trouble.id)
        else:
            text = Told(told.trouble, is_told=True).encode()
            await self._redis.hset(keys.ALERTS, told.trouble.id, text)

    async def _say(self, told: Told, state: State) -> bool:
        """Post it, and log it; whether ALERT_URL took it. Without ALERT_URL the log is all there is."""
        trouble = told.trouble
        if not await self._post(trouble, state):
            return False
        kind, account, scope = trouble.kind, trouble.account, trouble.scope
        if state == "raised":
            names = {"account": account, "scope": scope, "detail": trouble.detail}
            log_event("alert_raised", logging.WARNING, kind=kind, **names)
        else:
            log_event("alert_resolved", kind=kind, account=account, scope=scope)
        return True

    async def _post(self, trouble: Trouble, state: State) -> bool:
        url = self._settings.alert_url
        if url is None or self._http is None:
            return True
        body = body_of(trouble, state, self._settings.alert_template)
        try:
            async with asyncio.timeout(POST_S):
                request = httpx.Request("POST", url, content=body, headers=_HEADERS)
                response = await self._http.handle_async_request(request)
                await response.aclose()
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            # The error's text would show the address, which often holds a token.
            self._log_failure(type(error).__name__)
            return False
        if not response.is_success:
            self._log_failure(f"HTTP {response.status_code}")
        return response.is_success

    async def _redis_away(self, error: Exception) -> None:
        why = explain(error)
        if why is FORBIDDEN:  # an HTTP server whose Redis user may only append: others watch
            return
        if self._redis_watch is not None:
            self._redis_watch.away(error)
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since < PATIENCE_S:
            return
        kind = _REDIS_KINDS.get(why.code, "redis_away")
        if self._away is None:
            since_ms = int((self._clock.now() - (now - self._away_since)) * 1000)
            text = f"Redis {why.what}: {why.fix}"
            self._away = Told(Trouble(kind, "", "redis", text, since_ms))
        if not self._away.is_told and await self._say(self._away, "raised"):
            self._away = Told(self._away.trouble, is_told=True)

    async def _redis_back(self) -> None:
        self._away_since = None
        if self._redis_watch is not None:
            self._redis_watch.back()
        if self._away is None:
            return
        if not self._away.is_told or await self._say(self._away, "resolved"):
            self._away = None

    def _log_failure(self, error: str) -> None:
        now = self._clock.monotonic()
        if self._failed_at is None or now - self._failed_at >= SAID_AGAIN_S:
            self._failed_at = now
            log_event("alert_failed", logging.WARNING, error=error)


async def watch_alerts(
    client: redis.asyncio.Redis,
    settings: Settings,
    clock: Clock,
    redis_watch: RedisWatch | None = None,
) -> None:
    """What a process runs beside its work, until cancelled. `redis_watch` logs for a process that has nothing else that
    asks Redis now and then."""
    http = open_http() if settings.alert_url else None  # it loads certificates, which takes a while
    try:
        await AlertWatch(client, settings, http, clock, redis_watch).run()
    finally:
        if http is not None:
            await http.aclose()
