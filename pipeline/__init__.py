"""sailpipe: self-hosted delivery of customer events to Sailthru.

    import pipeline

    pipeline.enqueue({"type": "identify", "userId": "u1", "traits": {"email": "a@example.com"}})

Importing it connects to nothing, and loads nothing but the errors: Redis' client and pydantic come with
the first use of `enqueue` or `enqueue_many`, so that a command pays only for what it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull, SailpipeError

if TYPE_CHECKING:
    from pipeline.accept import enqueue, enqueue_many
else:

    def __getattr__(name):
        if name not in {"enqueue", "enqueue_many"}:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        from pipeline import accept  # noqa: PLC0415 - when it is first used

        globals().update(enqueue=accept.enqueue, enqueue_many=accept.enqueue_many)
        return globals()[name]


__all__ = [
    "ConfigError",
    "EnqueueError",
    "InvalidEvent",
    "QueueFull",
    "SailpipeError",
    "enqueue",
    "enqueue_many",
]
