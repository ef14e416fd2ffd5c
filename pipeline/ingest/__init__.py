"""HTTP ways in. They take events and nothing else: no queueing rule lives here."""

from __future__ import annotations

from pipeline.ingest.app import create_app

__all__ = ["create_app"]
