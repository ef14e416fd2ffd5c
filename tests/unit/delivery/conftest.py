"""A pipeline for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.pipe import Pipe, open_pipe


@pytest.fixture
async def pipe() -> AsyncIterator[Pipe]:
    """A pipeline with the default settings."""
    async with open_pipe() as opened:
        yield opened
