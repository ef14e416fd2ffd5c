"""What is wrong with an event that no model takes, without its values: names of fields, and their rules."""

from __future__ import annotations

from pydantic import ValidationError

MAX_PROBLEMS = 5
"""Fields that one refusal names."""
_RULES = {
    "missing": "is missing",
    "string_type": "must be a string",
    "string_too_long": "is longer than {max_length} characters",
    "string_unicode": "must be valid Unicode",
    "dict_type": "must be an object",
    "union_tag_not_found": "is missing",
    "union_tag_invalid": "must be identify, track, page, screen, group or alias",
}


def explain(error: ValidationError) -> str:
    """Name each wrong field and its rule; pydantic's own text would quote the value."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]:
        where = ".".join(str(part) for part in problem["loc"][1:]) or "type"
        if problem["type"] == "value_error":
            rule = problem["msg"].removeprefix("Value error, ")
        else:
            rule = _RULES.get(problem["type"], problem["type"]).format(**problem.get("ctx", {}))
        lines.append(f"{where}: {rule}")
    return "; ".join(lines)
