"""Events -> Sailthru calls. Pure: what it lacks it asks for (`Need`), delivery looks it up."""

from __future__ import annotations

from pipeline.mapping.dryrun import dry_run
from pipeline.mapping.planner import plan
from pipeline.mapping.profile import read_profile, read_time

__all__ = ["dry_run", "plan", "read_profile", "read_time"]
