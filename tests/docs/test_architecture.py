"""docs/architecture.md shows the code as it is: the way of an event, the files, the layers."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.docs.way_table import BEGIN, END, PAGE, ROOT, page_with, table

TEXT = PAGE.read_text()
NAMED = re.findall(r"`((?:[\w-]+/)*[\w-]+\.(?:py|lua|md|toml|lock)|(?:[\w-]+/)+)`", TEXT)


def test_the_way_of_an_event_is_the_one_that_the_code_takes() -> None:
    """`python -m tests.docs.way_table` writes it anew."""
    assert page_with(table()) == TEXT


def test_the_way_names_its_modules_once() -> None:
    """A reader opens these files in this order."""
    way = TEXT.partition(BEGIN)[2].partition(END)[0]
    files = re.findall(r"`(pipeline/[\w/]+\.py)`", way)
    assert len(files) == len(set(files)) > 20


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_every_file_and_folder_that_the_page_names_exists(name: str) -> None:
    """By its whole path, or by the end of one where the folder was just named."""
    tail = name.rstrip("/")
    found = (ROOT / tail).exists() or any(
        path
        for folder in ("pipeline", "workers")
        for path in (ROOT / folder).rglob(tail.rpartition("/")[2])
        if f"/{path.relative_to(ROOT)}".endswith(f"/{tail}")
    )
    assert found, name


def test_the_picture_of_the_layers_is_the_contract_that_imports_are_held_to() -> None:
    """The first contract of import-linter, without the name of the package."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    picture = TEXT.partition("## Which module may import which\n\n```\n")[2].partition("\n```")[0]
    assert picture.split(" →\n") == [layer.replace("pipeline.", "") for layer in contract["layers"]]
