"""sailpipe: self-hosted delivery of customer events to Sailthru.

    import pipeline

    pipeline.enqueue({"type": "identify", "userId": "u1", "traits": {"email": "a@example.com"}})

Importing it connects to nothing, and loads nothing but the errors: Redis' client and pydantic come with
the first use of `enqueue` or its kin, so that a command pays only for what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull, SailpipeError

if TYPE_CHECKING:
    from pipeline.accept import enqueue, enqueue_async, enqueue_many, enqueue_many_async
else:
    _ENQUEUE = ("enqueue", "enqueue_async", "enqueue_many", "enqueue_many_async")

    def __getattr__(name):
        if name not in _ENQUEUE:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from pipeline import accept  # noqa: PLC0415 - when it is first used

        globals().update({one: getattr(accept, one) for one in _ENQUEUE})
        return globals()[name]


__all__ = [
    "ConfigError",
    "EnqueueError",
    "InvalidEvent",
    "QueueFull",
    "SailpipeError",
    "enqueue",
    "enqueue_async",
    "enqueue_many",
    "enqueue_many_async",
]
