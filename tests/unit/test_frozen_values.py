"""A decision is a pure function over frozen values: no dataclass of a deciding module can be changed."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import cached_property
from typing import Any

from tests.pythons import ROOT

WORKED_ON = {
    "IdentityMap": "what a batch links counts for the events behind it",
    "Account": "holds an IdentityMap",
}
"""The dataclasses that change as a batch is split, and why."""


def deciding_modules() -> Iterator[Any]:
    """Those that import-linter keeps from doing I/O."""
    linted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [names] = [
        one["source_modules"] for one in linted["contracts"] if one["name"] == "Decisions do no I/O"
    ]
    for name in names:
        module = importlib.import_module(name)
        yield module
        for child in pkgutil.iter_modules(getattr(module, "__path__", ())):
            yield importlib.import_module(f"{name}.{child.name}")


def test_the_values_that_decisions_are_made_of_are_frozen() -> None:
    loose = [
        one.__name__
        for module in deciding_modules()
        for one in vars(module).values()
        if isinstance(one, type) and is_dataclass(one) and one.__module__ == module.__name__
        if not is_frozen(one)
    ]
    assert sorted(loose) == sorted(WORKED_ON)


def is_frozen(one: type) -> bool:
    """Nothing can be set on it, but what it works out once from its own fields and keeps."""
    keeps = any(isinstance(member, cached_property) for member in vars(one).values())
    return one.__dataclass_params__.frozen and (keeps or "__slots__" in vars(one))  # type: ignore[attr-defined]
