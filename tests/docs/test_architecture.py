"""docs/architecture.md draws the layers as import-linter holds them."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_picture_of_the_layers_is_the_contract() -> None:
    """What `make check` holds is in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one["type"] == "layers")
    picture = " →\n".join(layer.replace("pipeline.", "") for layer in layers)
    assert f"```\n{picture}\n```" in (ROOT / "docs" / "architecture.md").read_text()
