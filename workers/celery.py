"""The entry point of `celery -A workers worker`."""

from __future__ import annotations

from pipeline.errors import ConfigError
from workers.app import app_from_environment

try:
    app = app_from_environment()
except ConfigError as error:
    raise SystemExit(f"sailpipe: {error}") from None
