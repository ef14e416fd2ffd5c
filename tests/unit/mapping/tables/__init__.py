"""The mapping as tables: what tests check and docs/mapping-rows.md shows, row by row."""

from __future__ import annotations

from tests.unit.mapping.tables.carts import CARTS
from tests.unit.mapping.tables.classic import CLASSIC
from tests.unit.mapping.tables.emails import ADDRESSES, VISITORS
from tests.unit.mapping.tables.events import EVENTS, FLATTENING, NAMES
from tests.unit.mapping.tables.items import ITEMS
from tests.unit.mapping.tables.lifecycle import ALIASES, SUBSCRIPTIONS
from tests.unit.mapping.tables.native import NATIVE
from tests.unit.mapping.tables.orders import ORDERS
from tests.unit.mapping.tables.pages import PAGES
from tests.unit.mapping.tables.refunds import REFUNDS
from tests.unit.mapping.tables.routes import ROUTES
from tests.unit.mapping.tables.row import Row, Table
from tests.unit.mapping.tables.users import IDENTIFIES

TABLES: tuple[Table, ...] = (
    ROUTES,
    IDENTIFIES,
    ALIASES,
    SUBSCRIPTIONS,
    ADDRESSES,
    VISITORS,
    EVENTS,
    FLATTENING,
    NAMES,
    ORDERS,
    ITEMS,
    REFUNDS,
    CARTS,
    PAGES,
    NATIVE,
    CLASSIC,
)

__all__ = ["TABLES", "Row", "Table"]
