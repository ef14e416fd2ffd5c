"""Nested traits and properties as Sailthru vars: flat, with names Sailthru keeps as they are.

Names are joined with `_`, list positions count as names (reference: document 001). Sailthru takes
names of at most 32 characters that do not begin with a digit, and strips `% - . $` and the like
(reference: sailthru-api 5). A name that breaks a rule gets `_` for what is forbidden and eight hex
digits of its hash, so that it is the same in every event and never another name's. Should two
places of one event still come to one name, the less nested one keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from hashlib import blake2s
from typing import Any

from pipeline.events.integrations import folded
from pipeline.fields import Notes
from pipeline.mapping.values import scalar
from pipeline.settings import AccountSettings
from pipeline.text import clean_text

MAX_NAME_CHARS = 32

_FORBIDDEN = re.compile(r"[^\w ]")
_HASH_BYTES = 4

Path = tuple[str, ...]


def flat_vars(
    source: Mapping[str, Any],
    settings: AccountSettings,
    where: str,
    notes: Notes,
    skip: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """`source` as vars, without the top-level keys in `skip`, the PII properties and nulls.

    A value that JSON or Sailthru cannot hold is left out with a note; `where` is the path of `source`.
    """
    private = settings.pii_properties
    leaves: dict[Path, Any] = {}
    for path, given in _leaves(source):
        if path[0] in skip or (private and _is_private(path, private)):
            continue
        value = given
        if not _is_ready(given):
            value = notes.optional(scalar, given, ".".join((where, *path)))
        if value is not None:
            leaves[path] = value
    names = _names(leaves, clean=settings.var_names == "clean")
    return {names[path]: value for path, value in leaves.items()}


def keys_named(source: Mapping[str, Any], plain_names: Collection[str]) -> frozenset[str]:
    """The keys of `source` that are, in any case style, one of `plain_names` (see `folded`)."""
    return frozenset(key for key in source if folded(key) in plain_names)


def clean_name(name: str) -> str:
    """`name` if Sailthru takes it as it is, else a stand-in of its own."""
    kept = _FORBIDDEN.sub("_", name)
    if kept[:1].isdigit():
        kept = f"_{kept}"
    if kept == name and 0 < len(kept) <= MAX_NAME_CHARS:
        return name
    return _with_hash(kept, name)


def _with_hash(stem: str, source: str) -> str:
    digest = blake2s(source.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"{stem[: MAX_NAME_CHARS - len(digest) - 1]}_{digest}"


def _leaves(source: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    # A stack, not recursion: how deep an event is nested is its sender's choice.
    stack: list[tuple[Path, object]] = [((), source)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, Mapping):
            children = [((*path, _clean_key(key)), child) for key, child in value.items()]
            stack.extend(reversed(children))
        elif isinstance(value, list | tuple):
            stack.extend(reversed([((*path, str(i)), child) for i, child in enumerate(value)]))
        elif value is not None:
            yield path, value


def _is_ready(value: object) -> bool:
    """Whether `scalar` would return it as it is: most values, and asking it costs more than looking."""
    return value.isprintable() if isinstance(value, str) else isinstance(value, bool)


def _clean_key(key: object) -> str:
    return key if isinstance(key, str) and key.isascii() else clean_text(str(key))


def _names(paths: Mapping[Path, object], *, clean: bool) -> dict[Path, str]:
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in sorted(paths, key=lambda path: (len(path), path)):
        joined = "_".join(path)
        name = clean_name(joined) if clean else joined
        while name in taken:
            name = _with_hash(name, f"{name} {path!r}")
        taken.add(name)
        names[path] = name
    return names


def _is_private(path: Path, private: frozenset[str]) -> bool:
    named = [part for part in path if not part.isdigit()]
    return any(".".join(named[: n + 1]) in private for n in range(len(named)))
