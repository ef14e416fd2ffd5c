"""Our parts as a container runs them: first process of their own, in a file system that cannot be written, stopped by
one SIGTERM. Namespaces of the kernel stand in for the engine."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from pipeline.cli.launcher import WORKERS_STOP_WITHIN_S
from tests.support.commands import Running, sailpipe, wait_until
from tests.support.redis_server import free_port

UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private")
READ_ONLY = """
for place in $(awk '$4 ~ /^rw/ && $2 !~ "^/(proc|dev|sys)" { print $2 }' /proc/self/mounts | sort -r)
do mount -o remount,bind,ro "$place"; done
touch written 2>/dev/null && exit 77
exec "$@"
"""
"""All that may be written becomes read-only, but devices. 77: it did not."""


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0  # noqa: S603


pytestmark = pytest.mark.skipif(not can_unshare(), reason="no namespaces may be made here")


@contextmanager
def container(folder: Path, *words: str, **environment: str) -> Iterator[Running]:
    """`sailpipe WORDS...` as process 1, with nothing in its environment but what it is given."""
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [*UNSHARE, "sh", "-c", READ_ONLY, "sh", sys.executable, "-m", "pipeline.cli", *words],
        cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        for one in psutil.Process(process.pid).children() if process.poll() is None else ():
            one.kill()
        process.wait()


def stop(one: Running) -> int:
    """What `docker stop` does: SIGTERM to the container's first process, which gets it only if it handles it."""
    [first] = psutil.Process(one.process.pid).children()
    first.send_signal(signal.SIGTERM)
    return one.process.wait(WORKERS_STOP_WITHIN_S)


def roles(url: str) -> set[str]:
    """Of the processes of this host, as the image's health check finds them."""
    done = sailpipe("healthcheck", SAILPIPE_REDIS_URL=url)
    return {line.partition(":")[0] for line in done.stdout.decode().splitlines()}


@pytest.mark.timeout(180)
def test_the_parts_work_in_a_read_only_container_and_end_at_its_stop(
    tmp_path: Path, redis_url: str
) -> None:
    """Each gives its health check a sign of life, and each ends well at SIGTERM, within its grace."""
    port = str(free_port())
    url = {"SAILPIPE_REDIS_URL": redis_url, "SAILPIPE_API_URL": "http://127.0.0.1:1"}
    url["SAILPIPE_PAGEVIEW_URL"] = url["SAILPIPE_API_URL"]
    parts = (("serve", "--port", port), ("splitter",), ("worker", "--lanes", "user"))
    assert (
        b"has given a sign of life" in sailpipe("healthcheck", SAILPIPE_REDIS_URL=redis_url).stderr
    )
    with ExitStack() as started:
        running = [started.enter_context(container(tmp_path, *words, **url)) for words in parts]
        for one, said in zip(running, ("process_started", "ready.", "ready."), strict=True):
            one.wait_for(said)
        wait_until(lambda: roles(redis_url) == {"http", "splitter", "worker"}, "all are healthy")
        assert [stop(one) for one in running] == [0, 0, 0], [one.output for one in running]
        assert list(tmp_path.iterdir()) == []
    assert roles(redis_url) == set()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/readyz", "http://127.0.0.1:1/readyz does not answer"),
        ("ftp://127.0.0.1/", "an address such as http://127.0.0.1:8000/readyz"),
    ],
)
def test_a_server_that_does_not_answer_is_not_healthy(url: str, said: str) -> None:
    done = sailpipe("healthcheck", "--url", url)
    assert done.returncode != 0
    assert said in done.stderr.decode()
