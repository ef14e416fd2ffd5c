"""What Redis keeps on disk still holds what was removed until it is written anew: its append-only file and its snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
import redis.exceptions

from pipeline.clock import Clock

LOOK_S: Final = 0.1
MAX_S: Final = 3_600.0
_RUNS = {
    "aof": ("aof_rewrite_in_progress", "aof_rewrite_scheduled"),
    "rdb": ("rdb_bgsave_in_progress",),
}
_STATUS = {"aof": "aof_last_bgrewrite_status", "rdb": "rdb_last_bgsave_status"}
_COMMAND = {"aof": "BGREWRITEAOF", "rdb": "BGSAVE"}
_FILE = {"aof": "append-only file", "rdb": "snapshot"}


@dataclass(frozen=True, slots=True)
class Disk:
    """What became of Redis' files: `text` says it as a clause. is_clean: nothing of what was removed is left in them."""

    text: str
    is_clean: bool


NO_FILE: Final = Disk(
    "Redis keeps no file by its settings; a dump.rdb that was made by hand is yours to erase",
    is_clean=True,
)
NOT_SAID: Final = Disk(
    "Redis does not say whether it keeps snapshots: run BGSAVE as a user who may, or erase its dump.rdb",
    is_clean=False,
)


class Rewriting:
    """One Redis. on_wait: is told what is waited for."""

    def __init__(
        self, client: redis.asyncio.Redis, clock: Clock, on_wait: Callable[[str], None]
    ) -> None:
        self._redis = client
        self._clock = clock
        self._on_wait = on_wait

    async def rewrite(self) -> Disk:
        """Have every file written anew, and wait for that. Raises redis.exceptions.ConnectionError."""
        try:
            info = await self._info()
        except redis.exceptions.ResponseError:  # an ACL may forbid the question alone
            info = {"aof_enabled": 1}
        kinds = ["aof"] if info["aof_enabled"] else []
        has_snapshots = await self._has_snapshots(info)
        if has_snapshots:
            kinds.append("rdb")
        if not kinds:
            return NO_FILE if has_snapshots is False else NOT_SAID
        found = [await self._rewrite(kind) for kind in kinds]
        return Disk("; ".join(one.text for one in found), all(one.is_clean for one in found))

    async def _rewrite(self, kind: str) -> Disk:
        file, command = _FILE[kind], _COMMAND[kind]
        began = self._clock.monotonic()
        try:
            await self._until_idle(
                kind, began
            )  # one that began before the removal would not show it
            execute: Any = self._redis.execute_command
            await execute(command)
            await self._until_idle(kind, began)
            status = (await self._info())[_STATUS[kind]]
        except TimeoutError:
            return Disk(
                f"the {file} is still being written after an hour: look at Redis' log", False
            )
        except redis.exceptions.ResponseError as error:
            why = str(error)[:80]
            return Disk(
                f"Redis forbids {command} ({why}): run it as a user who may", is_clean=False
            )
        if status != "ok":
            return Disk(
                f"Redis could not write its {file}: see its log, then run {command}", is_clean=False
            )
        return Disk(f"{file} rewritten", is_clean=True)

    async def _until_idle(self, kind: str, began: float) -> None:
        while True:
            found = await self._info()
            if not any(found.get(field) for field in _RUNS[kind]):
                return
            if self._clock.monotonic() - began > MAX_S:
                raise TimeoutError
            self._on_wait(f"Redis writes its {_FILE[kind]} anew")
            await self._clock.sleep(LOOK_S)

    async def _info(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._redis.info("persistence")
        return found

    async def _has_snapshots(self, info: Mapping[str, Any]) -> bool | None:
        """Whether Redis saves snapshots by itself. None where it does not say, as the embedded one and many a hosted one,
        and has made none since it was started."""
        try:
            found: Any = await self._redis.config_get("save")
        except redis.exceptions.ResponseError:
            makes_some = any(info.get(field) for field in _RUNS["rdb"])
            makes_some |= int(info.get("rdb_last_bgsave_time_sec", -1)) >= 0
            return True if makes_some else None
        return bool(found.get("save"))
