"""A worker process on every form of REDIS_URL: behind Sentinel with a failover, a unix socket, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from pipeline.storage import keys
from pipeline.storage.redis_client import open_redis
from tests.support.commands import Running, python, running, wait_until
from tests.support.redis_server import RedisServer, free_port, redis_binary

pytestmark = pytest.mark.long

STATUS = ("-m", "pipeline.cli", "status", "--json")
DRY = {"SAILPIPE_API_KEY": "k", "SAILPIPE_API_SECRET": "s", "SAILPIPE_DRY_RUN": "true"}


def deliver(client: redis.Redis, user: str) -> None:
    """Enqueue an event of this user and wait until it is delivered."""
    before = int(client.hget(keys.counts("default"), "delivered") or 0)
    event = {"type": "track", "event": "Seen", "userId": user, "messageId": user}
    client.xadd(keys.RAW, {"event": json.dumps(event)})
    wait_until(
        lambda: int(client.hget(keys.counts("default"), "delivered") or 0) > before,
        f"the event of {user} is delivered",
        60.0,
    )


@contextmanager
def worker(url: str, directory: Path, **environment: str) -> Iterator[Running]:
    """A worker, and a splitter beside it, on this Redis."""
    known = {**DRY, "SAILPIPE_REDIS_URL": url, **environment}
    with (
        running("splitter", directory=directory, **known),
        running("worker", directory=directory, **known) as process,
    ):
        yield process


def test_a_worker_runs_on_a_unix_socket(tmp_path: Path) -> None:
    """With a password, in another database than the first."""
    path = tmp_path / "r.sock"
    server = RedisServer(tmp_path, options={"unixsocket": str(path)})
    server.start()
    url = f"unix://{path}?db=2&password=pass%40word"
    try:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "pass@word")
        with worker(url, tmp_path), open_redis(url) as client:
            deliver(client, "ann")
    finally:
        server.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that signs itself, in one file."""
    file = tmp_path / "tls.pem"
    subject = ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    parts = ["-keyout", str(file), "-out", str(tmp_path / "cert.pem"), "-days", "2", "-nodes"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", *subject, *parts]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own arguments
    with file.open("a") as both:
        both.write((tmp_path / "cert.pem").read_text())
    return file


@contextmanager
def tls_in_front_of(server: RedisServer, certificate: Path) -> Iterator[int]:
    """A port that speaks TLS and hands on to Redis: servers are built without it here and there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop, port, over = asyncio.new_event_loop(), free_port(), asyncio.Event()

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, back), copy(there, writer))

    async def serve() -> None:
        async with await asyncio.start_server(hand_on, "127.0.0.1", port, ssl=context):
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


def test_a_worker_runs_over_tls_and_trusts_no_certificate_unseen(
    redis_server: RedisServer, redis_url: str, certificate: Path, tmp_path: Path
) -> None:
    """Without the certificate's authority it waits, says why, and has sent no password."""
    with tls_in_front_of(redis_server, certificate) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        trusting = f"{url}?ssl_ca_certs={certificate}"
        with worker(trusting, tmp_path), redis.Redis.from_url(redis_url) as client:
            deliver(client, "ann")
        with worker(url, tmp_path) as process:
            process.wait_for("trouble=tls")


@contextmanager
def sentinel_of(master: RedisServer, directory: Path) -> Iterator[str]:
    """A sentinel that watches this master and its replicas; the REDIS_URL to reach them by."""
    port, settings = free_port(), directory / "sentinel.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"dir {directory}",
        f"sentinel monitor shop 127.0.0.1 {master.port} 1",
        "sentinel down-after-milliseconds shop 1000",
        "sentinel failover-timeout shop 5000",
    ]
    settings.write_text("\n".join([*lines, ""]), "utf-8")
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [redis_binary(), str(settings), "--sentinel"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            wait_until(lambda: knows_a_replica(client), "the sentinel knows master and replica")
        yield f"redis+sentinel://127.0.0.1:{port}/shop/0"
    finally:
        process.kill()
        process.wait(10)


def knows_a_replica(sentinel: redis.Redis) -> bool:
    try:
        return bool(sentinel.sentinel_slaves("shop"))
    except redis.RedisError:
        return False


def test_a_worker_behind_sentinel_outlives_a_failover(tmp_path: Path) -> None:
    """The master dies; a replica takes its place, and the same worker process delivers on."""
    servers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        servers.append(RedisServer(tmp_path / name))
        servers[-1].start()
    master, replica = servers
    try:
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", str(master.port))
        with (
            sentinel_of(master, tmp_path) as url,
            worker(url, tmp_path) as process,
            redis.Redis.from_url(master.url) as before,
            redis.Redis.from_url(replica.url) as after,
        ):
            deliver(before, "ann")
            wait_until(lambda: after.hget(keys.counts("default"), "delivered"), "it is replicated")
            master.kill()
            wait_until(lambda: after.info("replication")["role"] == "master", "the failover", 30.0)
            deliver(after, "bob")
            assert process.process.poll() is None
            status = python(*STATUS, SAILPIPE_REDIS_URL=url)
            assert json.loads(status.stdout)["accounts"]["default"]["counts"]["delivered"] == 2
    finally:
        for server in servers:
            server.kill()
