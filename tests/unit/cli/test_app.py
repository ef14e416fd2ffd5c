"""The frame of the command line: exit codes, and sentences instead of tracebacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli.app import run
from pipeline.supervisor.celery_command import celery_command, splitter_command
from tests.support.commands import python
from tests.support.redis_server import free_port

UNREACHABLE = "redis://127.0.0.1:1/0"
PORT = ["--port", str(free_port())]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["enqueue", "-"], {"SAILPIPE_REDIS_URLL": "x"}, 2, "did you mean SAILPIPE_REDIS_URL?"),
        (["enqueue", "-"], {"SAILPIPE_API_KEY": "k"}, 2, "API_SECRET is not"),
        (["enqueue", "-"], {}, 2, "start `sailpipe up`"),
        (
            ["enqueue", "no.jsonl"],
            {"SAILPIPE_REDIS_URL": UNREACHABLE},
            2,
            "no.jsonl cannot be read",
        ),
        (["enqueue", "a.jsonl"], {"SAILPIPE_REDIS_URL": UNREACHABLE}, 1, "nothing listens there"),
        (["enqueue", "-", "--account", "shoos"], {}, 2, "There is no account 'shoos'"),
        (["up", *PORT], {"SAILPIPE_REDIS_URL": UNREACHABLE}, 1, "127.0.0.1:1/0 does not answer"),
        (["up", *PORT], {"SAILPIPE_DATA_DIR": "a.jsonl/x"}, 2, "set SAILPIPE_DATA_DIR"),
        (["worker", "--lanes", "mail"], {}, 2, "the lanes are user, event"),
        (["worker", "--no-splitter"], {}, 2, "a worker delivers, `sailpipe splitter` splits"),
        (["worker"], {"SAILPIPE_REDIS_URL": UNREACHABLE}, 2, "no sandbox is running"),
        (["splitter"], {}, 2, "There is no Redis"),
        (["worker"], {}, 2, "There is no Redis"),
        (["map", "no.jsonl"], {}, 2, "no.jsonl cannot be read"),
        (["map", "a.jsonl", "--profile", "a.jsonl"], {}, 2, "is not a JSON object"),
        (["nonsense"], {}, 2, "No such command"),
        (["up", "--port", "seven"], {}, 2, "--port"),
    ],
)
def test_an_expected_error_is_a_sentence_and_an_exit_code(
    arguments: list[str],
    environment: dict[str, str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """1 failed, 2 wrong usage or bad input; nothing but results on stdout, and no traceback."""
    Path("a.jsonl").write_text("[]\n" if "--profile" in arguments else '{"type":"track"}\n')
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(arguments) == code
    out, err = capfd.readouterr()
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert out in {"", "Enqueued: 0.\n"}


def test_help_says_what_each_command_is_for(capfd: pytest.CaptureFixture[str]) -> None:
    """A newcomer types --help first."""
    assert run(["--help"]) == 0
    out = capfd.readouterr().out
    parts = ("up", "serve", "worker", "splitter", "sandbox", "enqueue", "map", "doctor")
    for command in (*parts, "status", "dead", "pause", "resume", "limits"):
        assert f"\n  {command} " in out


def test_a_worker_is_celery_with_the_lanes_as_queues() -> None:
    """`celery -A workers worker` by hand must do the same, so nothing else may be hidden here."""
    command = " ".join(celery_command(["user", "event"], 4))
    assert "-m celery -A workers" in command
    assert "-Q user,event -P threads --concurrency 4" in command
    assert "-Q split " in " ".join(splitter_command())


def test_looking_at_the_command_line_starts_neither_celery_nor_the_web() -> None:
    """Each command pays for what it uses: `sailpipe status` must not wait for Celery's imports."""
    slow = "'celery', 'uvicorn', 'httpx', 'httptools'"
    code = f"import sys, pipeline.cli.app; print([m for m in ({slow}) if m in sys.modules])"
    assert python("-c", code).stdout == b"[]\n"
