"""`celery -A tests.faults.support.buggy_worker worker`: a release whose mapping has a bug.

Every custom event crashes it for as long as the file FAULTS_BUG is there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.delivery import session
from pipeline.events.models import Event, Track
from pipeline.mapping import plan
from workers.celery import app

__all__ = ["app"]

BUG = Path(os.environ["FAULTS_BUG"])


def _buggy(events: Sequence[Event], *known: Any) -> Any:
    if isinstance(events[0], Track) and BUG.exists():
        raise ZeroDivisionError
    return plan(events, *known)


vars(session)["plan"] = _buggy
