"""docs/alerts.md has a row for every kind of alert, and its templates and JSON are what the code takes and makes."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from pipeline.alerting.message import body_of
from pipeline.alerting.rules import KINDS, TICKETS, Trouble
from pipeline.settings import Settings
from pipeline.settings.values import ALERT_NAMES

PAGE = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()


def test_every_kind_has_a_row_and_no_row_is_of_another() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted([*KINDS, "kind"])


def test_the_page_names_what_can_wait_and_what_a_template_may_name() -> None:
    said = PAGE.partition("`severity` is `warning` for ")[2].partition(",\nwhich can wait")[0]
    assert set(re.findall(r"`(\w+)`", said)) == TICKETS
    assert set(re.findall(r"`\$(\w+)`", PAGE)) == set(ALERT_NAMES)


def test_the_example_is_an_alert() -> None:
    example = json.loads(PAGE.partition("```json\n")[2].partition("```")[0])
    trouble = Trouble("circuit", "default", "api", "Sailthru does not answer", 1_794_694_400_000)
    assert json.loads(body_of(trouble, "raised", None)) == example


def test_every_template_on_the_page_is_taken() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        template = tomllib.loads(block)["alert_template"]
        settings = Settings(alert_template=template)
        trouble = Trouble("brake", "default", "event", 'a "quote"', 0)
        assert json.loads(body_of(trouble, "raised", settings.alert_template))
