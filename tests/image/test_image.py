"""The image, made by hand: the Dockerfile's own steps, in their order, with its environment. No engine is asked, since
there is none where these tests run; tests/integration/test_containers.py runs the parts as a container does."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.dockerfile import Build, read_stages

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.image, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Image:
    """What the last stage left. environment: as its processes have it."""

    root: Path
    directory: Path
    environment: dict[str, str]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own image
            words,
            cwd=self.directory,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    build = Build(tmp_path_factory.mktemp("image"), ROOT)
    first, last = read_stages((ROOT / "Dockerfile").read_text())
    build.run(first)
    build.put_away(first[0].rest.partition(" AS ")[2])
    build.run(last)
    return Image(build.root, build.inside(), build.environment)


def test_the_image_runs_sailpipe_of_this_version(image: Image) -> None:
    done = image.run("sailpipe", "--version")
    assert (done.stdout.strip(), done.stderr) == (version("sailpipe"), "")
    assert shutil.which("sailpipe", path=image.environment["PATH"]) == str(
        image.root / "opt/sailpipe/bin/sailpipe"
    )


def test_the_image_has_the_console_and_no_tool_that_it_does_not_run(image: Image) -> None:
    """htmx was put in when the wheel was built; neither tests, nor what builds, nor pip are there."""
    code = "import sys, importlib.util as u; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    tools = ("pytest", "mypy", "hypothesis", "playwright", "hatchling", "tests", "examples")
    python = str(image.root / "opt/sailpipe/bin/python")
    assert image.run(python, "-c", code, "celery", *tools, "pip").stdout == "['celery']\n"
    [static] = (image.root / "opt/sailpipe").glob(
        "lib/python*/site-packages/pipeline/console/static"
    )
    assert (static / "htmx.min.js").stat().st_size > 10_000
