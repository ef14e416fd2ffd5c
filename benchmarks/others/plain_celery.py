"""Delivery as most would build it first: a Celery task an event, `celery -A benchmarks.others.plain_celery worker`.

64 threads share one httpx client; a call that fails for a while is retried with Celery's own backoff; a message is
acknowledged after its call. It has no limits, no order per user, and no dead letters. PLAIN_BROKER and PLAIN_API name
Redis and Sailthru.
"""

from __future__ import annotations

import os
from typing import Any

import httpx
from celery import Celery

from pipeline.sailthru.signing import signed

THREADS = 64
QUEUE = "plain"
PARKED = "plain-parked"
"""Where the suite puts messages until all of them are there; no worker consumes it."""

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER", "redis://"), set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue=QUEUE,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
client = httpx.Client(
    base_url=os.environ.get("PLAIN_API", "http://127.0.0.1"),
    timeout=8.0,
    limits=httpx.Limits(max_connections=THREADS, max_keepalive_connections=THREADS),
)


@app.task(
    shared=False,
    autoretry_for=(httpx.TransportError, httpx.HTTPStatusError),
    retry_backoff=True,
    retry_backoff_max=600,
    max_retries=20,
)
def deliver(event: dict[str, Any]) -> None:
    """An identify becomes POST /user."""
    traits = dict(event["traits"])
    params = {
        "id": event["userId"],
        "key": "extid",
        "keys": {"email": traits.pop("email")},
        "keysconflict": "merge",
        "vars": traits,
    }
    answer = client.post("/user", data=signed(params, "bench", "bench"))
    answer.raise_for_status()
    answer.json()
