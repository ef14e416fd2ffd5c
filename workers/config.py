"""How Celery is set up. Events never live in its queues: a message is only a wake-up.

A lost or doubled wake-up is harmless (the lease runs out, the second finds nothing leased), so no copy of a message
is kept until it is acknowledged, nothing is stored, and no countdown is ever used (reference: celery-redis 1).
"""

from __future__ import annotations

from typing import Any

from kombu import Exchange, Queue

from pipeline.events.models import Lane
from pipeline.storage.keys import CELERY_PREFIX
from pipeline.supervisor.celery_command import SPLIT_QUEUE
from workers.broker import broker_of

DELIVER = "workers.deliver"
"""Name of the task that carries wake-ups: deliver(account, lane, mailboxes)."""
NUDGE = "workers.nudge"
"""Name of the task that nudges a splitter which stands by: nudge()."""


def celery_config(redis_url: str) -> dict[str, Any]:
    """Celery's settings for one Redis. Raises ConfigError: `redis_url` is no address of one."""
    broker = broker_of(redis_url)
    return {
        "broker_url": broker.url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        # A Redis that is full or read-only refuses writes; the worker waits instead of exiting.
        "broker_channel_error_retry": True,
        "broker_transport_options": {
            "global_keyprefix": CELERY_PREFIX,
            # Else an acknowledgement is two transactions a message: its copy is kept in Redis, and removed. Queues
            # with `no_ack` would be no cure: kombu removes a copy all the same, and remembers each message's tag for ever.
            "ack_emulation": False,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            **broker.options,
        },
        "task_queues": [
            Queue(name, Exchange(name, type="direct"), routing_key=name)
            for name in (SPLIT_QUEUE, *map(str, Lane))
        ],
        "task_create_missing_queues": False,
        "task_default_queue": str(Lane.USER),
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_publish_retry": False,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_disable_rate_limits": True,
        "worker_hijack_root_logger": False,
        "worker_pool": "threads",
        "worker_consumer": "workers.consumer:PatientConsumer",
        "worker_concurrency": 8,
        # `celery inspect`, `control` and `status` ask by it: one connection that waits, in each process.
        "worker_enable_remote_control": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
    }
