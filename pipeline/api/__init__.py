"""`/api`: the operator's verbs as JSON, behind the guard.

queries (what a request asks for) -> letters, groups, waiting, forgetting (routes of one kind) -> app (routes: parse, call one verb, answer) -> descriptions (the same for OpenAPI)
"""

from __future__ import annotations

from pipeline.api.app import Api
from pipeline.api.descriptions import DESCRIPTIONS
from pipeline.api.schemas import SCHEMES

__all__ = ["DESCRIPTIONS", "SCHEMES", "Api"]
