"""What is wrong with an event that no model takes, without its values: names of fields, and their rules.

Where Segment has a code for it, the code ends the sentence: people know it from Segment's Delivery Overview (reference: segment
1.4).
"""

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
_NO_STRING = "must be a string"
_CODES = {
    ("event", "is missing"): "event_not_defined",
    ("event", _NO_STRING): "event_not_string",
    **{(name, "is missing"): "id_required" for name in ("userId", "groupId", "previousId")},
    **{
        (name, _NO_STRING): "id_not_string"
        for name in ("userId", "anonymousId", "groupId", "previousId")
    },
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
        lines.append(problem_line(where, rule))
    return "; ".join(lines)


def problem_line(where: str, rule: str) -> str:
    """`event: is missing (event_not_defined)`: a field, its rule, and Segment's code if it has one."""
    code = _CODES.get((where, rule))
    return f"{where}: {rule} ({code})" if code else f"{where}: {rule}"
