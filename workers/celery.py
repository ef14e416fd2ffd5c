"""The entry point of `celery -A workers worker`."""

from __future__ import annotations

from pipeline.errors import ConfigError
from workers.app import app_from_environment
from workers.logs import set_up_worker_logging

set_up_worker_logging()
try:
    app = app_from_environment()
except ConfigError as error:
    raise SystemExit(f"sailpipe: {error}") from None
