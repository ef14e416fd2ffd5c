"""The one guard before what an operator sees and does over HTTP: console, `/api`, `/metrics`.

rules (which requests are answered at all) -> credentials (who asks) -> sessions, tries -> guard (the ASGI middleware)
"""

from __future__ import annotations

from pipeline.guard.guard import Guard, operator_of
from pipeline.guard.operators import Access, Operator

__all__ = ["Access", "Guard", "Operator", "operator_of"]
