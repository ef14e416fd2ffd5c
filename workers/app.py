"""The app factory. Nothing connects and nothing starts until a worker does."""

from __future__ import annotations

import os

import click
from celery import Celery

from pipeline.addresses import resolve_redis_url, with_addresses
from pipeline.settings import Settings, load_settings
from workers.config import celery_config
from workers.format import FormatStep
from workers.runtime import Runtimes
from workers.splitter import SplitterStep
from workers.tasks import register
from workers.waker import WakerStep


class SailpipeApp(Celery):
    """A Celery app that knows its processes' runtimes."""

    runtimes: Runtimes


def create_app(settings: Settings, redis_url: str) -> SailpipeApp:
    """An app for these settings. It is not made the current app and shares no tasks."""
    app = SailpipeApp("sailpipe", set_as_current=False)
    app.config_from_object(celery_config(redis_url))
    app.runtimes = Runtimes(settings, redis_url)
    register(app, app.runtimes)
    app.steps["worker"].update([FormatStep, WakerStep, SplitterStep])
    app.user_options["worker"].add(
        click.Option(["--splitter/--no-splitter"], default=True, help="Stand by as the splitter.")
    )
    return app


def app_from_environment() -> SailpipeApp:
    """The app that `celery -A workers worker` runs. Raises ConfigError."""
    settings = with_addresses(load_settings(os.environ))
    return create_app(settings, resolve_redis_url(settings))
