"""sailpipe: self-hosted delivery of customer events to Sailthru.

    import pipeline

    pipeline.enqueue({"type": "identify", "userId": "u1", "traits": {"email": "a@example.com"}})

Importing it connects to nothing, and loads neither Celery nor an HTTP client nor the web.
`pipeline.enqueue` is the function; what else its module has is `from pipeline.enqueue import ...`.
"""

from __future__ import annotations

from pipeline.enqueue import enqueue, enqueue_many
from pipeline.errors import ConfigError, EnqueueError, InvalidEvent, QueueFull, SailpipeError

__all__ = [
    "ConfigError",
    "EnqueueError",
    "InvalidEvent",
    "QueueFull",
    "SailpipeError",
    "enqueue",
    "enqueue_many",
]
