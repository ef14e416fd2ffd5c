"""The app factory. Nothing connects and nothing starts until a worker does."""

from __future__ import annotations

import os

from celery import Celery

from pipeline.addresses import resolve_redis_url, with_addresses
from pipeline.settings import load_settings
from pipeline.supervisor.celery_command import APP_MODULE
from workers.config import celery_config
from workers.process import WorkerProcess, bootstep
from workers.tasks import register


def create_app(process: WorkerProcess) -> Celery:
    """An app that runs this process. It is not made the current app and shares no tasks."""
    app = Celery("sailpipe", set_as_current=False)
    app.config_from_object(celery_config(process.redis_url))
    register(app, process)
    app.steps["worker"].add(bootstep(process))
    return app


def app_from_environment(module: str = APP_MODULE) -> Celery:
    """The app that `celery -A MODULE worker` runs. Raises ConfigError."""
    settings = with_addresses(load_settings(os.environ))
    return create_app(WorkerProcess(settings, resolve_redis_url(settings), module=module))
