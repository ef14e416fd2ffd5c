"""`forget` knows every key that there is."""

from __future__ import annotations

import ast
import inspect

from pipeline.forget.spaces import KNOWN, Space
from pipeline.storage import keys

NO_KEYS = {"account_prefix", "account_of", "kind_of"}
NO_KEY_TEXTS = {"DUE_NUDGES", "CELERY_PREFIX"}
"""A channel, and what Celery's own keys begin with."""


def named_keys() -> set[str]:
    """What names a key in keys.py: functions, and constants that are texts."""
    functions = {
        name
        for name, function in inspect.getmembers(keys, inspect.isfunction)
        if function.__module__ == keys.__name__
    }
    tree = ast.parse(inspect.getsource(keys))
    assigned = {
        node.targets[0].id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    texts = {name for name in assigned if isinstance(getattr(keys, name), str)}
    return (functions - NO_KEYS) | (texts - NO_KEY_TEXTS)


def test_every_key_has_a_space_that_is_looked_through_or_a_reason_why_it_names_no_person() -> None:
    """A new key must be given one of them before it can hold a person for ever."""
    assert set(KNOWN) == named_keys()
    assert all(KNOWN.values())


def test_every_space_has_keys() -> None:
    """A receipt names no space that there is not."""
    assert {one for one in KNOWN.values() if isinstance(one, Space)} == set(Space)
