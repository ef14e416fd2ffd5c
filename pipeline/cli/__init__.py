"""The `sailpipe` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; exits with 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        from pipeline.cli.app import run  # noqa: PLC0415 - a producer's install lacks Typer
    except ModuleNotFoundError as error:
        sys.exit(f"sailpipe: {error.name} is not installed: pip install 'sailpipe[run]'.")
    sys.exit(run(sys.argv[1:]))
