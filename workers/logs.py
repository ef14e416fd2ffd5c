"""Our logging in a worker: Celery would set up its own."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning

from pipeline.observe.logs import set_up_logging
from pipeline.settings import load_settings


def set_up_worker_logging() -> None:
    """Make `celery worker` log as the rest of sailpipe does. For the entry point only."""
    signals.setup_logging.connect(_set_up, weak=False)
    # Celery warns root because of pickled messages; only JSON is accepted here, also in containers.
    warnings.simplefilter("ignore", SecurityWarning)


def _set_up(loglevel: int = logging.INFO, **_options: Any) -> None:
    set_up_logging(loglevel, form=load_settings(os.environ).log_format)
