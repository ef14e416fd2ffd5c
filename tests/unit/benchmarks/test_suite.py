"""How rows are run and kept: interleaved, one failing alone, and what was not run stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report, suite
from benchmarks.figures import Bench, Check, Figures, NotThere, Row, at_most
from benchmarks.report import table

ORDER: list[str] = []


def _side(name: str, value: float) -> Row:
    def measure(_bench: Bench) -> Figures:
        ORDER.append(name)
        return {"ms": value}

    return Row("r", "a row", {name: measure}, ())


def _row(name: str = "r") -> Row:
    sides = {**_side("ours", 1.0).sides, **_side("bare", 2.0).sides}
    return Row(name, "a row", sides, (Check("CPU", "ours.ms", "bare.ms", at_most(1)),), rounds=2)


def _broken(error: Exception) -> Row:
    def measure(_bench: Bench) -> Figures:
        raise error

    return Row("broken", "a row", {"ours": measure}, ())


def _bench() -> Bench:
    return Bench(say=lambda _text: None)


def test_the_sides_of_a_row_take_turns() -> None:
    ORDER.clear()
    suite.run(_row(), _bench())
    assert ORDER == ["ours", "bare", "ours", "bare"]


def test_a_row_is_kept_with_its_ratios_sides_and_machine() -> None:
    document = suite.run(_row(), _bench(), rounds=1)
    (check,) = document["checks"]
    assert (check["median"], check["goal"], check["met"], check["ratio"]) == (
        0.5,
        "≤ 1",
        True,
        True,
    )
    assert document["sides"]["bare"]["ms"]["median"] == 2.0
    assert document["host"]["cores"]
    json.dumps(document)


def test_a_row_that_fails_says_so_and_is_no_exception(capsys: pytest.CaptureFixture[str]) -> None:
    document = suite.run(_broken(RuntimeError("no")), _bench())
    assert document["failed"] == "failed: RuntimeError"
    assert "RuntimeError: no" in capsys.readouterr().err
    assert "broken: failed: RuntimeError" in table({"broken": document})


def test_a_row_whose_program_is_missing_says_that_it_is_not_there() -> None:
    document = suite.run(_broken(NotThere("benchmarks.door")), _bench())
    assert document["failed"] == "not there: benchmarks.door"


def test_the_other_rows_are_run_after_one_that_fails_and_the_exit_code_tells(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "ROWS", (_broken(OSError()), _row("whole")))
    file = tmp_path / "results.json"
    assert suite.main(["--json", str(file)]) == 1
    assert list(report.load(file)) == ["broken", "whole"]
    assert "whole" in capsys.readouterr().out
    assert (tmp_path / "goals.svg").read_text().startswith("<svg")


def test_rows_that_are_not_run_keep_what_they_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "ROWS", (_row("first"), _row("second")))
    file = tmp_path / "results.json"
    assert suite.main(["--json", str(file)]) == 0
    assert suite.main(["second", "--rounds", "1", "--json", str(file)]) == 0
    rows = report.load(file)
    assert (rows["first"]["rounds"], rows["second"]["rounds"]) == (2, 1)


def test_a_row_that_does_not_exist_is_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        suite.main(["nothing"])
    assert "no such row: nothing" in capsys.readouterr().err
