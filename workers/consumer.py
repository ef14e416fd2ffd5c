"""Celery's consumer, with patience for a Redis that refuses what it has to write."""

from __future__ import annotations

import time

from celery.worker.consumer import Consumer

PAUSE_S = 1.0


class PatientConsumer(Consumer):
    """A full or read-only Redis takes connections, but not what a consumer writes when it starts.

    Celery, told to try again (`broker_channel_error_retry`), would do so and log an error as fast as
    it can. Meanwhile the waker delivers as far as Redis lets it.
    """

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        super().on_connection_error_before_connected(exc)
        time.sleep(PAUSE_S)
