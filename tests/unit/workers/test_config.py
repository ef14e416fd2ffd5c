"""What a message costs a consumer that is set up as ours: on a real Redis, with kombu's own consumer."""

from __future__ import annotations

from typing import Any

import redis
from kombu import Connection, Consumer
from kombu.message import Message

from pipeline.events.models import Lane
from workers.config import celery_config

MESSAGES = 50


def test_a_taken_message_leaves_nothing_behind(redis_url: str) -> None:
    """Neither in Redis nor in the process, which lives for months: kombu remembers no more of those it acknowledged
    than the last."""
    config = celery_config(redis_url)
    queue = next(one for one in config["task_queues"] if one.name == Lane.USER)
    options = config["broker_transport_options"]
    taken = 0

    def take(_body: object, message: Message) -> None:
        nonlocal taken
        taken += 1
        message.ack()

    with (
        redis.Redis.from_url(redis_url) as client,
        Connection(config["broker_url"], transport_options=options) as connection,
        connection.channel() as channel,
        Consumer(channel, [queue], callbacks=[take]),
    ):
        producer = connection.Producer()
        for number in range(MESSAGES):
            producer.publish({"number": number}, routing_key=queue.name)
        client.config_resetstat()
        while taken < MESSAGES:
            connection.drain_events(timeout=10)
        used = client.info("commandstats")
        remembered: Any = channel.qos  # type: ignore[attr-defined] # of kombu's virtual channels
        assert len(remembered._dirty) <= 1
        assert len(remembered._delivered) <= 1
    writes = {"cmdstat_zadd", "cmdstat_zrem", "cmdstat_hset", "cmdstat_hdel"}
    assert not writes & used.keys()
