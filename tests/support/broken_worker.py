"""`celery -A tests.support.broken_worker worker`: the real app, with a part that fails after a while."""

from __future__ import annotations

import os
from typing import Any

from pipeline.delivery.leases import Leases
from pipeline.splitter.loop import Splitter
from workers.celery import app
from workers.waker import Waker

__all__ = ["app"]


async def _fail(*_given: Any, **_named: Any) -> Any:
    msg = "ann@example.com"
    raise KeyError(msg)


match os.environ["BROKEN_PART"]:
    case "waker":
        Waker.wake_all = _fail  # type: ignore[method-assign]
    case "splitter":
        Splitter.hold_lease = _fail  # type: ignore[method-assign]
    case "leases":
        Leases.renew_forever = _fail  # type: ignore[method-assign]
