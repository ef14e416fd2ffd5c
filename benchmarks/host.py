"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import psutil

from pipeline.clock import SystemClock, iso
from tests.support.redis_server import redis_binary

_ROOT = Path(__file__).parents[1]


def describe() -> dict[str, object]:
    """Processor, memory, versions, load, commit and time; nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "redis": _first_line([redis_binary(), "--version"]),
        "load_before": round(os.getloadavg()[0], 1),
        "commit": _first_line(["git", "rev-parse", "--short", "HEAD"]),
        "at": iso(int(SystemClock().now() * 1000)),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _first_line(command: list[str]) -> str:
    """What a command says first; "" where there is no such command."""
    try:
        done = subprocess.run(  # noqa: S603 - our own commands
            command, cwd=_ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.partition("\n")[0].partition(" sha=")[0]
