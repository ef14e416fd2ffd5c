"""Several hosts that have nothing but the address of Redis in common: network namespaces, each with a name of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis

from pipeline.lanes import Lane
from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.storage import keys
from tests.faults.support.traffic import traffic
from tests.support.commands import sailpipe, wait_until
from tests.support.redis_server import RedisServer

NETWORK = "198.18"
"""RFC 2544: addresses for tests of networks, which nothing else uses."""
EVENTS = 300
TO_NOTHING: dict[str, Any] = {
    "SAILPIPE_DRY_RUN": "1",
    "SAILPIPE_API_KEY": "key",
    "SAILPIPE_API_SECRET": "secret",
    "SAILPIPE_CUSTOMER_ID": "customer",
}


def ip(*words: str) -> None:
    """Change this machine's network with iproute2. Raises CalledProcessError."""
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S603, S607 - ours


@dataclass
class Host:
    """One host. `gateway`: this machine as that host sees it."""

    name: str
    number: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return f"sp{os.getpid()}{self.name}"

    @property
    def gateway(self) -> str:
        return f"{NETWORK}.{self.number}.1"

    def join(self) -> None:
        """Begin to exist, with a cable to this machine."""
        ours, theirs = f"{self.namespace}0", f"{self.namespace}1"
        ip("netns", "add", self.namespace)
        ip("link", "add", ours, "type", "veth", "peer", theirs, "netns", self.namespace)
        ip("address", "add", f"{self.gateway}/24", "dev", ours)
        ip("link", "set", ours, "up")
        inside = ("-n", self.namespace)
        ip(*inside, "address", "add", f"{NETWORK}.{self.number}.2/24", "dev", theirs)
        ip(*inside, "link", "set", theirs, "up")

    def cut_off(self) -> None:
        """Pull the cable."""
        ip("link", "set", f"{self.namespace}0", "down")

    def start(self, redis_port: int, *words: str) -> None:
        """Run a command of sailpipe there; it finds Redis by this machine's address."""
        renamed = ["unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "sh"]
        command = ["ip", "netns", "exec", self.namespace, *renamed]
        url = f"redis://{self.gateway}:{redis_port}/0"
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [*command, sys.executable, "-m", "pipeline.cli", *words],
            env={**os.environ, "SAILPIPE_REDIS_URL": url, **TO_NOTHING},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)

    def leave(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        subprocess.run(  # noqa: S603 - it may not have begun to exist
            ["ip", "netns", "delete", self.namespace],  # noqa: S607
            check=False,
            capture_output=True,
        )


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Hosts for as long as the block lasts; skipped where the machine makes none."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "unshare"))):
        pytest.skip("network namespaces need root and iproute2")
    made = [Host(name, number) for number, name in enumerate(names, start=1)]
    try:
        try:
            for host in made:
                host.join()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        yield made
    finally:
        for host in made:
            host.leave()


@pytest.mark.timeout(200)
def test_hosts_share_the_work_and_status_names_one_that_is_cut_off(tmp_path: Path) -> None:
    """Each serves two lanes; the one that goes takes its lanes with it, and the first line says so."""
    with hosts("a", "b") as (first, second):
        options = {
            "bind": f"127.0.0.1 {first.gateway} {second.gateway}",
            "protected-mode": "no",
        }
        server = RedisServer(tmp_path, options=options)
        server.start()

        def headline() -> str:
            said = sailpipe("status", "--check", SAILPIPE_REDIS_URL=server.url, **TO_NOTHING)
            return said.stdout.decode().partition("\n")[0]

        try:
            first.start(server.port, "worker", "--lanes", "user,event")
            first.start(server.port, "splitter")
            second.start(server.port, "worker", "--lanes", "purchase,page")
            who = "2 workers on 2 hosts, splitter on a, HTTP 0"
            wait_until(lambda: who in headline() and "NOBODY" not in headline(), "all beat")
            with redis.Redis.from_url(server.url) as client:
                Producer(client).send_many(traffic(EVENTS, 30, seed=3), Labels("default"))
                wait_until(lambda: waiting(client) == 0, "two hosts deliver")
            second.cut_off()
            gone = "NOBODY serves purchase, page since "
            wait_until(lambda: headline().startswith(gone), "it is missed", 60)
        finally:
            server.kill()


def waiting(client: redis.Redis) -> int:
    """Events in the raw stream and in mailboxes."""
    counts: Any = client.hmget(keys.counts("default"), [f"waiting:{lane}" for lane in Lane])
    raw: Any = client.xlen(keys.RAW)
    return int(raw) + sum(int(one or 0) for one in counts)
