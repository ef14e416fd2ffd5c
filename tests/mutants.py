"""`make test-mutants`: small mistakes made in the core on purpose, one at a time; each should turn a test red.

Mistakes in Python are those of cosmic-ray, a kept library for this; it reads no Lua, in which operators, numbers and
logical words are exchanged here. Tried is a sample, the same for the same seed, over what decides, maps, identifies,
limits and sends. Each mutant is tested in a copy of the tree. Those that no test notices are shown: each is a hole
in the tests, or the same program written differently.
ARGS: `--size 40` mutants an area, `--seed 7`, `--areas lua,limits`, `--copies 1` to leave other cores alone.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from tests.pythons import ROOT, say

TIMEOUT_S = 600.0
GOAL = 0.95
PYTEST = (
    *(sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"),
    "--hypothesis-profile=mutants",
)


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the core, as patterns of its files, and where the tests of it are: those first that are quick and
    notice most."""

    name: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


FROZEN = "tests/unit/test_frozen_values.py"
LIMITERS = ("tests/conformance/test_limiter_store.py", "tests/conformance/test_limiter_machine.py")
AREAS = (
    Area(
        "decisions",
        ("pipeline/delivery/*.py", "pipeline/gates/*.py", "pipeline/retry.py"),
        (
            *("tests/unit/delivery/test_decisions.py", "tests/unit/delivery/test_bounds.py"),
            *("tests/unit/test_retry.py", "tests/unit/gates", FROZEN, "tests/unit/delivery"),
        ),
    ),
    Area(
        "mapping",
        ("pipeline/mapping/*.py", "pipeline/fields.py", "pipeline/times.py"),
        (
            *("tests/unit/mapping/test_tables.py", "tests/unit/mapping/test_values.py", FROZEN),
            *("tests/unit/test_times.py", "tests/unit/events", "tests/unit/mapping"),
            "tests/unit/delivery/test_browser_keys.py",
        ),
    ),
    Area(
        "identity",
        ("pipeline/identity/*.py", "pipeline/events/emails.py", "pipeline/splitter/triage.py"),
        (
            *("tests/unit/identity", "tests/unit/events", FROZEN, "tests/unit/splitter"),
            "tests/unit/delivery",
        ),
    ),
    Area("limits", ("pipeline/ratelimit/*.py",), ("tests/unit/ratelimit", *LIMITERS)),
    Area(
        "client",
        ("pipeline/sailthru/*.py",),
        (
            *("tests/unit/sailthru", "tests/integration/test_odd_answers.py"),
            *("tests/integration/test_sailthru_client.py", "tests/integration/test_transport.py"),
            "tests/unit/delivery",
        ),
    ),
    Area(
        "lua",
        ("pipeline/*/lua/*.lua",),
        (
            *("tests/unit/mailbox", "tests/unit/gates", "tests/unit/ownership"),
            *("tests/unit/deadletters", "tests/integration/test_status.py", *LIMITERS),
            *("tests/unit/splitter", "tests/conformance", "tests/unit/delivery"),
        ),
    ),
)
_PAIRS = (
    *(("<=", "<"), (">=", ">"), ("==", "~="), ("+", "-"), ("*", "/")),
    *(("and", "or"), ("math.min", "math.max")),
)
_SINGLE = {"not": "", "true": "false", "math.floor": "math.ceil"}
_LUA = _SINGLE | dict(_PAIRS) | {other: one for one, other in _PAIRS}
_LUA_TOKEN = re.compile(
    r"--.*|'[^']*'|\"[^\"]*\""  # what is left as it is comes first
    r"|(?P<token>math\.\w+|\b(?:and|or|not|true)\b|[<>=~]=|(?<![<>=~.])[<>+\-*/](?!=)|\b\d+\b)"
)


_UNUSED = ("ExceptionReplacer",)
"""Operators of cosmic-ray that fail on names with a dot."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake: `text` is the whole of the changed file."""

    area: Area
    path: str
    text: str

    def tests(self) -> list[str]:
        """Those of its area; those first that are named as its package is."""
        package = "/".join(("", *Path(self.path).parts[1:2]))
        return sorted(self.area.tests, key=lambda one: package not in one)

    def diff(self) -> str:
        before = (ROOT / self.path).read_text().splitlines()
        lines = difflib.unified_diff(before, self.text.splitlines(), self.path, lineterm="", n=0)
        return "\n".join(lines)


def lua_mistakes(source: str) -> Iterator[Callable[[], str]]:
    """For each word, operator or number outside of comments and strings: the text with another in its place."""
    for found in _LUA_TOKEN.finditer(source):
        token = found["token"]
        if token is not None and (token.isdigit() or token in _LUA):
            other = str(int(token) + 1) if token.isdigit() else _LUA[token]
            text = source[: found.start()] + other + source[found.end() :]
            yield partial(str, text)


def python_mistakes(source: str) -> Iterator[Callable[[], str]]:
    """For each mistake of cosmic-ray: what makes the text with it."""
    from cosmic_ray.ast import ast_nodes, get_ast  # noqa: PLC0415 - not installed for other tests
    from cosmic_ray.mutating import mutate_code  # noqa: PLC0415
    from cosmic_ray.plugins import get_operator, operator_names  # noqa: PLC0415

    nodes = list(ast_nodes(get_ast(source)))
    for name in sorted(operator_names()):
        kind = get_operator(name)
        if kind.arguments() or name.endswith(_UNUSED):
            continue
        places = sum(len(list(kind().mutation_positions(node))) for node in nodes)
        for number in range(places):
            yield partial(mutate_code, source, kind(), number)


def changes_what_runs(before: str, after: str) -> bool:
    """Whether it is another program, and one at all: annotations do not run."""
    return _what_runs(after) not in {None, _what_runs(before)}


def _what_runs(source: str) -> str | None:
    """The syntax tree without annotations; None for what is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign):
            node.annotation = ast.Constant(0)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return ast.dump(tree)


def sample(area: Area, size: int, seed: int) -> list[Mutant]:
    """Some of all mutants of an area, the same for the same seed."""
    found: list[tuple[Path, Callable[[], str]]] = []
    for path in sorted(one for pattern in area.files for one in ROOT.glob(pattern)):
        mistakes = lua_mistakes if path.suffix == ".lua" else python_mistakes
        found += [(path, make) for make in mistakes(path.read_text())]
    random.Random(f"{seed} {area.name}").shuffle(found)
    return list(islice(_made(area, found), size))


def _made(area: Area, mistakes: Iterable[tuple[Path, Callable[[], str]]]) -> Iterator[Mutant]:
    for path, make in mistakes:
        text = make()
        if path.suffix == ".lua" or changes_what_runs(path.read_text(), text):
            yield Mutant(area, str(path.relative_to(ROOT)), text)


def unchanged(area: Area) -> Mutant:
    """No mistake at all."""
    path = next(ROOT.glob(area.files[0]))
    return Mutant(area, str(path.relative_to(ROOT)), path.read_text())


def is_noticed(mutant: Mutant, tree: Path) -> bool:
    """Whether a test of its area fails, or hangs, in a copy of the tree with this mistake."""
    file = tree / mutant.path
    right = file.read_text()
    file.write_text(mutant.text)
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    try:
        tests = subprocess.run(  # noqa: S603 - our own words
            [*PYTEST, *mutant.tests()],
            cwd=tree,
            env=environment,
            timeout=TIMEOUT_S,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    finally:
        file.write_text(right)
    return tests.returncode != 0


def try_all(mutants: Sequence[Mutant], trees: Sequence[Path]) -> list[Mutant]:
    """Those that no test noticed, each tried in one of these copies; they are shown as they are found."""
    free: SimpleQueue[Path] = SimpleQueue()
    for tree in trees:
        free.put(tree)

    def judge(mutant: Mutant) -> bool:
        tree = free.get()
        try:
            noticed = is_noticed(mutant, tree)
        finally:
            free.put(tree)
        say(f"{'noticed ' if noticed else 'SURVIVES'} {mutant.area.name}: {mutant.path}")
        if not noticed:
            say(mutant.diff())
        return noticed

    with ThreadPoolExecutor(len(trees)) as pool:
        return [
            one
            for one, noticed in zip(mutants, pool.map(judge, mutants), strict=True)
            if not noticed
        ]


def copy_tree(into: Path) -> Path:
    """What git knows of, as it lies here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)  # noqa: S607
    for name in filter(None, listed.stdout.decode().split("\0")):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, into / name)
    return into


def main(words: Sequence[str]) -> int:
    """1 when fewer are noticed than GOAL says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=10, help="mutants an area")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--copies", type=int, default=2, help="mutants tried at a time")
    parser.add_argument("--areas", default=",".join(area.name for area in AREAS))
    asked = parser.parse_args(words)
    chosen = [area for area in AREAS if area.name in asked.areas.split(",")]
    mutants = [one for area in chosen for one in sample(area, asked.size, asked.seed)]
    with tempfile.TemporaryDirectory() as folder:
        trees = [copy_tree(Path(folder, str(number))) for number in range(asked.copies)]
        for area in chosen:
            if is_noticed(unchanged(area), trees[0]):
                say(f"The tests of {area.name} fail without a mistake: {' '.join(area.tests)}")
                return 2
        left = try_all(mutants, trees)
    share = 1 - len(left) / max(1, len(mutants))
    say(f"{len(mutants)} mutants, {len(left)} unnoticed: {share:.0%} noticed (goal {GOAL:.0%}).")
    return int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
