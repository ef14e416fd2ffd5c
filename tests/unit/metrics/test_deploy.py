"""deploy/: a dashboard and alert rules, which name only metrics and labels that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline.metrics.names import METRICS

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD, RULES = DEPLOY / "grafana-dashboard.json", DEPLOY / "prometheus-rules.yml"
SUFFIXES = ("_bucket", "_count", "_sum")


def expressions() -> list[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [one["query"] for one in dashboard["templating"]["list"]]
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    return queries + [rule["expr"] for rule in group["rules"]]


def test_every_metric_that_a_panel_or_rule_asks_for_exists_and_every_metric_is_shown() -> None:
    """A name that is gone would be a panel without data, or an alert that never comes."""
    shown = {
        one.shown if one.kind != "histogram" else f"{one.name}{end}"
        for one in METRICS
        for end in SUFFIXES
    }
    asked = set(re.findall(r"\bsailpipe_\w+", " ".join(expressions())))
    assert asked <= shown
    plain = {name.removesuffix("_bucket").removesuffix("_count") for name in asked}
    assert {one.shown for one in METRICS} - plain == set()


def test_every_label_that_a_panel_or_rule_asks_for_exists() -> None:
    """Of any metric: `le` is the histogram's own."""
    known = {label for one in METRICS for label in one.labels} | {"le"}
    for expression in expressions():
        used = re.findall(r"(\w+)\s*=~?\s*\"", expression)
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            used += [label.strip() for label in group.split(",")]
        assert set(used) <= known, expression


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_every_rule_says_how_urgent_it_is_and_what_to_do() -> None:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"]["summary"], rule["alert"]
        assert rule["annotations"]["description"], rule["alert"]


PROMTOOL = shutil.which("promtool")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here")
def test_promtool_takes_the_rules() -> None:
    subprocess.run([str(PROMTOOL), "check", "rules", str(RULES)], check=True, capture_output=True)  # noqa: S603
