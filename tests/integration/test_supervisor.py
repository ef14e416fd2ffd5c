"""The supervisor, with real processes: none stays down, none outlives it, they go in order."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from pipeline.supervisor import Service, Stage, Supervisor
from tests.support.commands import DEADLINE_S, wait_until


def script(code: str) -> tuple[str, ...]:
    return (sys.executable, "-u", "-c", textwrap.dedent(code))


STUBBORN = script("""
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    time.sleep(600)
""")


def polite(log: Path, name: str) -> tuple[str, ...]:
    """Writes its name when it is told to stop."""
    return script(f"""
        import signal, sys, time
        def end(*_):
            with open({str(log)!r}, "a") as log:
                log.write("{name} ")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(600)
    """)


async def until(said: io.StringIO, text: str, times: int = 1) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while said.getvalue().count(text) < times:
            await asyncio.sleep(0.01)


async def test_a_process_that_exits_is_started_again() -> None:
    """A Celery worker can exit by itself when Redis goes away; the supervisor starts it again."""
    said = io.StringIO()
    supervisor = Supervisor(said)
    service = Service("short", script("print('here I am'); raise SystemExit(3)"), Stage.WORKERS)
    await supervisor.start(service)
    await until(said, "here I am", times=3)
    await supervisor.stop()
    assert "short    | here I am\n" in said.getvalue()
    assert "short    | exited (status 3); again in 0.2 s\n" in said.getvalue()
    assert "again in 0.4 s" in said.getvalue()
    assert supervisor.restarts("short") >= 2
    assert not supervisor.running("short")


async def test_services_stop_stage_by_stage_and_redis_last(tmp_path: Path) -> None:
    """HTTP first, so that nothing new comes in; what workers hold is settled; Redis last."""
    said, log = io.StringIO(), tmp_path / "log"
    supervisor = Supervisor(said)
    for stage in (Stage.REDIS, Stage.SANDBOX, Stage.WORKERS, Stage.INGEST):
        await supervisor.start(Service(stage.name, polite(log, stage.name), stage))
    await until(said, "ready", times=4)
    await supervisor.stop()
    assert log.read_text().split() == ["INGEST", "WORKERS", "SANDBOX", "REDIS"]


async def test_a_service_that_ignores_sigterm_is_killed() -> None:
    """Ctrl-C must end within the grace that was promised."""
    said = io.StringIO()
    supervisor = Supervisor(said)
    await supervisor.start(Service("deaf", STUBBORN, Stage.WORKERS, stop_within_s=0.2))
    await until(said, "deaf     | deaf")
    await supervisor.stop()
    assert not supervisor.running("deaf")


async def test_a_hurried_stop_kills_at_once_but_leaves_redis_its_time(tmp_path: Path) -> None:
    """A second Ctrl-C is impatience with calls under way, not a wish to lose the queue."""
    said, log = io.StringIO(), tmp_path / "log"
    supervisor = Supervisor(said)
    await supervisor.start(Service("deaf", STUBBORN, Stage.WORKERS, stop_within_s=600))
    await supervisor.start(Service("redis", polite(log, "redis"), Stage.REDIS, stop_within_s=600))
    await until(said, "deaf     | deaf")
    await until(said, "redis    | ready")
    supervisor.hurry()
    async with asyncio.timeout(DEADLINE_S):
        await supervisor.stop()
    assert log.read_text().split() == ["redis"]


async def test_a_line_without_end_stops_nothing() -> None:
    """Output is forwarded line by line; a child that writes megabytes must not block on it."""
    said = io.StringIO()
    supervisor = Supervisor(said)
    code = "import time; print('x' * 3_000_000); print('after'); time.sleep(600)"
    await supervisor.start(Service("loud", script(code), Stage.WORKERS))
    await until(said, "loud     | after")
    await supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent")
def test_no_child_outlives_a_supervisor_that_was_killed() -> None:
    """SIGKILL leaves no time to clean up; two redis-servers would write one file."""
    code = f"""
        import asyncio
        from pipeline.supervisor import Service, Stage, Supervisor
        async def main():
            supervisor = Supervisor()
            for stage in (Stage.WORKERS, Stage.REDIS):
                await supervisor.start(Service(stage.name, {script("import time; time.sleep(600)")!r}, stage))
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    parent = psutil.Popen(script(code))
    try:
        wait_until(lambda: len(parent.children()) == 2, "two children")
        children = parent.children()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=DEADLINE_S)
    for survivor in alive:
        survivor.kill()
    assert alive == []
