"""DATA_DIR: one `up` at a time, told apart from one that was killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from pipeline.errors import ConfigError

LOCK_FILE = "up.lock"


class DataDir:
    """DATA_DIR, held for as long as this `up` lives.

    The lock is the kernel's (flock), so it ends with the process however that dies; the pid in
    the file is for people.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path).absolute()
        self._lock: int | None = None

    def __enter__(self) -> DataDir:
        """Create and lock it. Raises ConfigError: not writable, or another `up` holds it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"The data directory {self.path} cannot be written ({error.strerror}):"
                " set SAILPIPE_DATA_DIR to one that can."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode().strip()
            os.close(lock)
            raise ConfigError(
                f"`sailpipe up` already runs for {self.path} (process {holder}): use that one, or"
                " set SAILPIPE_DATA_DIR to another directory."
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
        self._lock = lock
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
