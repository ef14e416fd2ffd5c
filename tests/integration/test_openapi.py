"""`/openapi.json` is true: whatever schemathesis makes of it, a real server answers as it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest
import redis

from pipeline.storage import keys
from tests.support.commands import DEADLINE_S, running
from tests.support.redis_server import free_port

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
EXAMPLES, DEEP_EXAMPLES = 10, 200
"""For each path; `make test-schemas` asks for the deep ones, of every path."""
SAMPLE = (
    r"^/(v1/track|v1/batch|t|webhook/segment|v1/event|event|user|purchase|return|job"
    r"|api/(?!jobs$|dead/audit|dead/mark|waiting/release|lanes/.+/resume|trace).+)$"
)
"""Paths that stand for the others: those are described alike."""
KEY, SECRET = "key", "secret"


@pytest.mark.timeout(1800)
def test_no_request_gets_an_answer_that_is_not_declared(redis_url: str, tmp_path: Path) -> None:
    """No 5xx, and the status, the content type, the headers and the body that are declared; what is wrong is refused, what is
    right is taken, and nothing without a key or signature."""
    port = free_port()
    keys_set = {"SAILPIPE_WRITE_KEYS": KEY, "SAILPIPE_WEBHOOK_SECRETS": SECRET}
    with running(
        "serve", "--port", str(port), directory=tmp_path, SAILPIPE_REDIS_URL=redis_url, **keys_set
    ) as server:
        found = schemathesis(f"http://127.0.0.1:{port}/openapi.json", tmp_path)
        server.stop()
    assert found.returncode == 0, found.stdout[-10_000:]
    with redis.Redis.from_url(redis_url) as store:
        refused = store.hgetall(keys.REFUSALS)
        assert store.xlen(keys.RAW) > 2_500
    assert {b"invalid_json", b"missing_write_key", b"missing_signature"} <= refused.keys()
    assert b"invalid_signature" not in refused


def schemathesis(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it on a document, with the same requests each time. It keeps what it finds in the folder."""
    configured = str(ROOT / "tests" / "schemathesis.toml")
    words = ["--config-file", configured, "run", url, "--no-color"]
    words += ["--wait-for-schema", str(DEADLINE_S), "--seed", "1"]
    if hypothesis.settings.get_current_profile_name() == "deep":
        words += ["--max-examples", str(DEEP_EXAMPLES)]
    else:
        words += ["--max-examples", str(EXAMPLES), "--include-path-regex", SAMPLE]
    hooks = {"SCHEMATHESIS_HOOKS": "tests.support.signing_hooks", "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603 - our own words
        [Path(sys.executable).with_name("schemathesis"), *words],
        cwd=folder,
        env={**os.environ, **hooks, "KEY": KEY, "SECRET": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
