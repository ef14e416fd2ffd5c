"""Runs child processes: restarts one that exits, stops them in order, lets none outlive us."""

from pipeline.supervisor.services import Service, Stage
from pipeline.supervisor.supervisor import Supervisor

__all__ = ["Service", "Stage", "Supervisor"]
