"""The producer's way in: make an event ready and append it to the raw stream.

The contract with Redis is one command, open to any language (docs/producers.md):
`XADD sailpipe:raw * event '<json>' [account NAME] [class bulk] [role browser]`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import pydantic_core
from pydantic import BaseModel
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from pipeline.addresses import resolve_redis_url
from pipeline.errors import (
    EnqueueError,
    InvalidEvent,
    QueueFull,
    Reason,
    SailpipeError,
    WrongFormat,
)
from pipeline.events.models import check_size, parse_event
from pipeline.events.rights import restricted
from pipeline.fields import is_nothing
from pipeline.json_text import MAX_DEPTH, read_json
from pipeline.producer import AsyncProducer, Producer, enqueue_error, in_time
from pipeline.raw_entries import CHUNK, Labels
from pipeline.roles import Role
from pipeline.settings import DEFAULT_ACCOUNT, load_settings
from pipeline.storage.format import check_format
from pipeline.storage.redis_client import open_async_redis, open_redis
from pipeline.text import clean_json
from pipeline.ways_in import WayIn

AnyEvent: TypeAlias = Mapping[str, Any] | BaseModel
"""A Segment-style event: a dict in Segment's spelling, or a model of `pipeline.events.models`."""


def enqueue(event: AnyEvent, account: str = DEFAULT_ACCOUNT, *, role: str = Role.SERVER) -> str:
    """Accept one event and return its messageId, which is assigned when the event has none.

    Redis is found as every command finds it: SAILPIPE_REDIS_URL, else the address that a running
    `sailpipe up` left in its data directory. The first call looks; importing connects to nothing.

    role: `browser` for what a page has sent: it may then do no more than with a write key of that role.

    Raises:
        InvalidEvent: it could never be delivered, or its role may not send it; nothing was sent.
        QueueFull: too much is waiting already; slow down and try again.
        EnqueueError: Redis is away; try again. An event that carries its own messageId may be
            sent twice without harm, one that doesn't may be delivered twice.
        ConfigError: there is no telling where Redis is, or it holds the data of another version of sailpipe;
            the message says what to do.
    """
    labels = Labels(account, role=Role.read(role), via=WayIn.PYTHON)
    message_id, raw = prepare(event, role=labels.role)
    _with_producer(lambda producer: producer.send(raw, labels))
    return message_id


def enqueue_many(
    events: Iterable[AnyEvent],
    account: str = DEFAULT_ACCOUNT,
    *,
    bulk: bool = False,
    role: str = Role.SERVER,
) -> list[str]:
    """Accept many events, in order; returns their messageIds. Raises as `enqueue` does.

    All are checked before the first is sent. It holds back while the raw stream is long. `bulk`: an import, say,
    which is to delay no live event.
    """
    labels = Labels(account, bulk, Role.read(role), WayIn.PYTHON)
    ready = [prepare(event, role=labels.role) for event in events]
    _with_producer(lambda producer: producer.send_many((raw for _, raw in ready), labels))
    return [message_id for message_id, _ in ready]


async def enqueue_async(
    event: AnyEvent, account: str = DEFAULT_ACCOUNT, *, role: str = Role.SERVER
) -> str:
    """`enqueue` for a program that runs in an asyncio loop, which goes on meanwhile.

    Each loop has connections of its own, which are closed when `asyncio.run` ends it.
    """
    labels = Labels(account, role=Role.read(role), via=WayIn.PYTHON)
    message_id, raw = prepare(event, role=labels.role)
    async with _async_producer() as producer, in_time():
        await producer.send_all([raw], labels)
    return message_id


async def enqueue_many_async(
    events: Iterable[AnyEvent],
    account: str = DEFAULT_ACCOUNT,
    *,
    bulk: bool = False,
    role: str = Role.SERVER,
) -> list[str]:
    """`enqueue_many` for a program that runs in an asyncio loop, which goes on meanwhile."""
    labels = Labels(account, bulk, Role.read(role), WayIn.PYTHON)
    ready = []
    for number, event in enumerate(events):
        ready.append(prepare(event, role=labels.role))
        if number % CHUNK == CHUNK - 1:
            await asyncio.sleep(0)
    async with _async_producer() as producer:
        await producer.send_many((raw for _, raw in ready), labels)
    return [message_id for message_id, _ in ready]


def prepare(
    event: AnyEvent, new_id: Callable[[], str] | None = None, role: Role = Role.SERVER
) -> tuple[str, bytes]:
    """Check an event and write it as JSON: (messageId, raw bytes). No I/O; it may draw an id.

    Raises InvalidEvent, whose detail names fields and never values; RefusedByRole if its role may not send it.
    """
    data = _as_dict(event)
    raw = _dump(data)
    parsed = parse_event(raw)
    if role is not Role.SERVER:
        restricted(parsed, role)
    message_id = parsed.message_id
    if message_id is not None:
        return message_id, raw
    message_id = (new_id or _uuid)()
    raw = _put_message_id(raw, data, message_id)
    check_size(raw)
    return message_id, raw


def prepare_line(line: bytes, message_id: str) -> bytes:
    """One line of a file as it goes into the raw stream: given `message_id` if it has none.

    The line is otherwise left as it is, byte for byte, valid or not: the splitter judges it, and mends
    the texts in it.

    Raises:
        InvalidEvent: invalid_json, since the line is not a JSON object; such a line is not sent.
    """
    line = line.strip()
    try:
        data = read_json(line)
    except ValueError as error:
        raise InvalidEvent(Reason.INVALID_JSON, f"not a JSON object ({error})") from None
    if not isinstance(data, dict):
        raise InvalidEvent(Reason.INVALID_JSON, "not a JSON object")
    return with_message_id(line, data, message_id)


def with_message_id(raw: bytes, data: Mapping[str, Any], message_id: str) -> bytes:
    """`raw`, the JSON text of `data`, with a messageId if it has none (null, false, blank text, ...)."""
    return raw if not is_nothing(data.get("messageId")) else _put_message_id(raw, data, message_id)


def _put_message_id(raw: bytes, data: Mapping[str, Any], message_id: str) -> bytes:
    if "messageId" in data:
        return _dump({**data, "messageId": message_id})
    field = b'"messageId":' + pydantic_core.to_json(message_id)
    return raw.rstrip()[:-1] + (b"," if data else b"") + field + b"}"


def message_id_for_line(file_digest: str, line_no: int) -> str:
    """The messageId of a line that has none: the same file imported again gives the same ids.

    Args:
        file_digest: SHA-256 of the file's (unpacked) content in hex; 16 digits of it are used.
        line_no: counted from 1, as editors do.
    """
    return f"{file_digest[:16]}-{line_no}"


_PRODUCERS: dict[int, Producer] = {}
"""This process' producer, by process id: a forked child must not share its parent's sockets."""


def _with_producer(use: Callable[[Producer], object]) -> None:
    """Run `use`; after a failure the next call looks anew where Redis is.

    No lock (one that is held while another thread forks would stay held in the child): two threads
    may both build a producer, and setdefault keeps one.
    """
    pid = os.getpid()
    producer = _PRODUCERS.get(pid) or _PRODUCERS.setdefault(pid, _open_producer())
    try:
        use(producer)
    except QueueFull:
        raise
    except EnqueueError:
        _PRODUCERS.pop(pid, None)
        raise


class _Opened(NamedTuple):
    """The producer of an asyncio loop, and what closes its connections when the loop ends or no code refers to it any more."""

    producer: AsyncProducer
    closing: AsyncIterator[AsyncProducer]


_ASYNC_PRODUCERS: dict[asyncio.AbstractEventLoop, _Opened] = {}
"""Connections belong to the loop that made them. A forked child begins a loop of its own."""


@contextlib.asynccontextmanager
async def _async_producer() -> AsyncIterator[AsyncProducer]:
    """The producer of the running loop; after a failure the next call looks anew where Redis is."""
    loop = asyncio.get_running_loop()
    opened = _ASYNC_PRODUCERS.get(loop)
    if opened is None:
        closing = _open_async_producer(loop)
        # Nothing is awaited before it yields, so that of two tasks the second finds what the first has opened.
        opened = _ASYNC_PRODUCERS[loop] = _Opened(await anext(closing), closing)
    try:
        async with in_time():
            await opened.producer.check_format()
        yield opened.producer
    except QueueFull:
        raise
    except (EnqueueError, WrongFormat, RedisError) as error:
        # Other tasks may be at work with it. It is closed once the last of them has let it go.
        _forget(loop, opened.producer)
        if isinstance(error, RedisError):
            raise enqueue_error(error) from None
        raise


async def _open_async_producer(loop: asyncio.AbstractEventLoop) -> AsyncIterator[AsyncProducer]:
    """An asynchronous generator, since `asyncio.run` closes those before it closes their loop."""
    for other in list(_ASYNC_PRODUCERS):
        if other.is_closed():  # it was ended in another way
            _ASYNC_PRODUCERS.pop(other, None)
    client = open_async_redis(resolve_redis_url(load_settings(os.environ)))
    producer = AsyncProducer(client)
    try:
        yield producer
    finally:
        _forget(loop, producer)
        await client.aclose()


def _forget(loop: asyncio.AbstractEventLoop, producer: AsyncProducer) -> None:
    """Unless another has taken its place meanwhile."""
    found = _ASYNC_PRODUCERS.get(loop)
    if found is not None and found.producer is producer:
        del _ASYNC_PRODUCERS[loop]


def _open_producer() -> Producer:
    client = open_redis(resolve_redis_url(load_settings(os.environ)))
    try:
        check_producers_format(client)
    except SailpipeError:
        client.close()
        raise
    return Producer(client)


def check_producers_format(client: Redis) -> None:
    """Refuse to add to what another version works on.

    Raises:
        WrongFormat: it says what to do.
        EnqueueError: Redis is away; try again.
    """
    try:
        check_format(client, stamp=True)
    except NoPermissionError:
        return  # a Redis user that may only XADD can do no harm: that is the same in every format
    except RedisError as error:
        raise enqueue_error(error) from None


def _as_dict(event: AnyEvent) -> dict[str, Any]:
    if isinstance(event, BaseModel):
        return event.model_dump(by_alias=True, exclude_none=True)
    if isinstance(event, Mapping):
        return dict(event)
    raise InvalidEvent(Reason.INVALID_EVENT, f"an event is a dict, not {type(event).__name__}")


def _dump(data: Mapping[str, Any]) -> bytes:
    try:
        return pydantic_core.to_json(data)
    except ValueError:
        return _dump_mended(data)


def _dump_mended(data: Mapping[str, Any]) -> bytes:
    """As `_dump`, for an event whose texts may hold half a surrogate pair."""
    try:
        return pydantic_core.to_json(clean_json(data, deepest=MAX_DEPTH))
    except ValueError:
        # Its text can quote the value.
        raise InvalidEvent(Reason.INVALID_EVENT, "a value cannot be written as JSON") from None


def _uuid() -> str:
    return str(uuid.uuid4())
