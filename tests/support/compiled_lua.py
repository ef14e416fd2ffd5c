"""fakeredis compiles a script anew for each call, and collects all of Lua's garbage after it.

With this, it compiles a script once for each of its servers, and collects now and then: half of the time of many tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from fakeredis.commands_mixins import scripting_mixin

COLLECT = "collectgarbage()"
COLLECT_EVERY = 50
"""Calls."""


class _Compiling(scripting_mixin.LUA_MODULE.LuaRuntime):  # type: ignore[misc, name-defined] # no types
    """A Lua interpreter that keeps what it has compiled."""

    def __init__(self, **_: Any) -> None:
        super().__init__()  # what is given has gone to `__new__`
        self._compiled: dict[bytes | str, Any] = {}
        self._calls = 0

    def execute(self, code: bytes | str, *args: Any) -> Any:
        if code == COLLECT:
            self._calls += 1
            return super().execute(code) if self._calls % COLLECT_EVERY == 0 else None
        if code not in self._compiled:
            self._compiled[code] = self.compile(code)
        return self._compiled[code](*args)


def install(patch: pytest.MonkeyPatch) -> None:
    """For all servers of fakeredis that are made from now on."""
    patch.setattr(scripting_mixin.LUA_MODULE, "LuaRuntime", _Compiling)
