"""Reads a Dockerfile, and runs its steps by hand where no engine can."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

STEP_WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: `RUN`, and what follows it with its lines joined."""

    word: str
    rest: str

    @property
    def listed(self) -> list[str]:
        """What a JSON form lists: ["sailpipe", "healthcheck"]."""
        found: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return found


def read_stages(text: str) -> list[list[Step]]:
    """The instructions of each stage, FROM first."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: list[list[Step]] = []
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append(Step(word, rest.strip()))
    return stages


class Build:
    """Carries out stages in a folder, where `/x` of an image is `folder/root/x`, one stage after the other.

    The base image is a new virtual environment of this Python.
    """

    def __init__(self, folder: Path, context: Path) -> None:
        self.root = folder / "root"
        self.environment: dict[str, str] = {}
        self._folder, self._context = folder, context
        self._stages: dict[str, Path] = {}
        self._workdir = "/"
        subprocess.run([sys.executable, "-m", "venv", folder / "base"], check=True)  # noqa: S603 - ours

    def run(self, stage: list[Step]) -> None:
        """Leave the stage's file system in `root`. Raises CalledProcessError when a RUN fails."""
        for name in ("opt", "etc", "build"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.environment = {"PATH": f"{self._folder / 'base' / 'bin'}:/usr/bin:/bin"}
        self._workdir = "/"
        for step in stage[1:]:
            self._do(step)

    def put_away(self, name: str) -> None:
        """Keep what a stage left under its name, for a later one to copy from."""
        self._stages[name] = self.root.rename(self._folder / name)

    def inside(self, path: str = ".") -> Path:
        """Where a path of the image is, seen from the working directory."""
        return self.root / str(Path(self._workdir, path)).lstrip("/")

    def here(self, text: str) -> str:
        """A command or value with the image's own folders in their place."""
        return re.sub(r"(?<![\w.*-])/(?=(opt|build|etc/sailpipe)\b)", f"{self.root}/", text)

    def _do(self, step: Step) -> None:
        match step.word:
            case "WORKDIR":
                self._workdir = step.rest
                self.inside().mkdir(parents=True, exist_ok=True)
            case "COPY":
                self._copy(step.rest.split())
            case "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)", step.rest):
                    whole = self.here(value).replace("$PATH", self.environment["PATH"])
                    self.environment[name] = whole
            case "RUN":
                subprocess.run(  # noqa: S603 - our own Dockerfile
                    ["/bin/sh", "-c", self.here(step.rest)],
                    cwd=self.inside(),
                    env={**_client_settings(), **self.environment},
                    check=True,
                    timeout=STEP_WITHIN_S,
                )

    def _copy(self, words: list[str]) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source = self._stages[words.pop(0).removeprefix("--from=")]
        *names, target = words
        for name in names:
            found, into = source / name.lstrip("/"), self.inside(target)
            if found.is_dir():
                shutil.copytree(found, into, symlinks=True, dirs_exist_ok=True)
            else:
                into.mkdir(parents=True, exist_ok=True)
                shutil.copy(found, into)


def _client_settings() -> dict[str, str]:
    """How pip reaches its registry from this machine; its settings of a person lie in a home folder."""
    known = ("PIP_", "SSL_", "HOME", "XDG_")
    return {name: value for name, value in os.environ.items() if name.startswith(known)}
