"""The rows of docs/outcomes.md: what an answer means in a state, and what is settled. Each is a test."""

from __future__ import annotations

from tests.unit.delivery.decisions.answers import ANSWERS
from tests.unit.delivery.decisions.lookups import LOOKUPS, ORDERS
from tests.unit.delivery.decisions.plans import PLANS, WITHOUT_CALL
from tests.unit.delivery.decisions.row import Row, Table
from tests.unit.delivery.decisions.waits import WAITS

__all__ = ["TABLES", "Row", "Table"]

TABLES: tuple[Table, ...] = (ANSWERS, LOOKUPS, ORDERS, PLANS, WITHOUT_CALL, WAITS)
