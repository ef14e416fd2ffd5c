"""docs/producers.md, the pages of the ways in and README.md say what is: paths, codes and limits come from the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pipeline.events.models import MAX_EVENT_BYTES
from pipeline.ingest import sailthru_requests
from pipeline.ingest.bodies import MAX_BODY_BYTES
from pipeline.ingest.connections import MAX_CONNECTIONS
from pipeline.ingest.known_users import MAX_ASKING
from pipeline.ingest.rules.once import OPEN_MS
from pipeline.ingest.sailthru import PASSED_ON
from pipeline.ingest.segment import BATCH_PATHS, SINGLE_PATHS
from pipeline.ingest.segment_events import MAX_BATCH_BYTES, MAX_BATCH_EVENTS
from pipeline.ingest.vibetrace import MAX_BODY_BYTES as MAX_VIBETRACE_BYTES
from pipeline.ingest.vibetrace import PATH
from pipeline.producer import ANSWER_S, MARK_S, RAW_BOUND, RAW_HOLD
from pipeline.raw_entries import CHUNK

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "producers.md"
PAGES = sorted((ROOT / "docs" / "producers").glob("*.md"))
PRODUCERS = "\n".join(page.read_text() for page in [INDEX, *PAGES])
README = (ROOT / "README.md").read_text()
INGEST_SOURCES = "".join(path.read_text() for path in (ROOT / "pipeline" / "ingest").glob("*.py"))


def test_every_path_is_documented_and_no_other() -> None:
    """What an SDK may call."""
    documented = set(re.findall(r"`/v1/(\w+)`", PRODUCERS))
    assert documented == {*SINGLE_PATHS, *BATCH_PATHS}
    assert {f"/v1/{name}" for name in documented} | {f"/{PATH}"} == set(
        re.findall(r"/v1/\w+", PRODUCERS)
    )


def test_every_path_that_a_way_in_spells_out_is_documented() -> None:
    """A module of `ingest` that takes requests says where; a reader of the page must find it."""
    trees = [ast.parse(path.read_text()) for path in (ROOT / "pipeline" / "ingest").glob("*.py")]
    texts = [one.value for tree in trees for one in ast.walk(tree) if isinstance(one, ast.Constant)]
    paths = {text for text in texts if isinstance(text, str) and re.fullmatch(r"(/\w+)+", text)}
    assert {path for path in paths if path not in PRODUCERS} == set()
    assert "/healthz" in paths


def test_every_endpoint_that_is_passed_on_is_documented_and_no_other() -> None:
    """Those of Sailthru's own API."""
    (named,) = re.findall(r"and the endpoints ([\w, ]+) \|", PRODUCERS)
    assert sorted(named.split(", ")) == sorted(PASSED_ON)


def test_every_refusal_is_documented_and_no_other() -> None:
    """Status and code of each HttpError that `ingest` raises."""
    raised = set(re.findall(r'HttpError\(\s*(\d{3}),\s*"(\w+)"', INGEST_SOURCES))
    documented = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PRODUCERS, re.MULTILINE))
    assert documented == raised


def test_every_refusal_in_sailthrus_form_is_documented_and_no_other() -> None:
    """Status and error code of each ApiError that `ingest` raises."""
    raised = {
        (int(status), getattr(sailthru_requests, name))
        for status, name in re.findall(r"ApiError\(\s*(\d{3}),\s*([A-Z_0-9]+)", INGEST_SOURCES)
    }
    documented = re.findall(r"^\| (\d{3}) \| (\d+) \|", PRODUCERS, re.MULTILINE)
    assert {(int(status), int(code)) for status, code in documented} == raised


@pytest.mark.parametrize(
    "said",
    [
        f"{MAX_EVENT_BYTES // 1024} KB",
        f"{MAX_BODY_BYTES // 1024} KB",
        f"a body over {MAX_VIBETRACE_BYTES // 1024} KB",
        f"{MAX_ASKING} look-ups",
        f"{OPEN_MS // 60_000} minutes",
        f"{MAX_BATCH_BYTES >> 20} MB",
        f"{MAX_BATCH_EVENTS:,} events",
        f"{RAW_HOLD:,} entries",
        f"{RAW_BOUND:,} events",
        f"{MAX_CONNECTIONS:,} connections",
        f"no longer than {ANSWER_S:g} seconds",
        f"for each {CHUNK} events",
        f"for {MARK_S // 86_400} days",
    ],
)
def test_limits_are_those_of_the_code(said: str) -> None:
    """Numbers in prose drift unless something holds them."""
    assert said in PRODUCERS


@pytest.mark.parametrize("page", [ROOT / "README.md", INDEX, *PAGES], ids=lambda page: page.stem)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """Only files that exist are promised."""
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_way_in_is_found_from_the_index() -> None:
    """A page to which nothing leads is read by nobody."""
    links = re.findall(r"\]\(producers/([\w.-]+)\)", INDEX.read_text())
    assert sorted(set(links)) == [page.name for page in PAGES]
