"""How a sample finds the package that it counts for."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.rows.profile import package_of, read_samples, shared_out


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/venv/lib/python3.11/site-packages/httpx/_client.py", "httpx"),
        ("/venv/lib/python3.11/site-packages/typing_extensions.py", "typing_extensions"),
        ("/src/pipeline/delivery/session.py", "pipeline.delivery"),
        ("/src/pipeline/clock.py", "pipeline"),
        ("/src/workers/waker.py", "workers"),
        ("/usr/lib/python3.11/asyncio/events.py", "asyncio"),
        ("/usr/lib/python3.11/json/encoder.py", None),
    ],
)
def test_a_file_belongs_to_a_package_or_to_python(path: str, package: str | None) -> None:
    assert package_of(path) == package


def test_a_sample_counts_for_the_innermost_package_that_is_not_pythons_own() -> None:
    loop, call = (
        "run (/usr/lib/python3.11/asyncio/runners.py:9)",
        "send (/v/site-packages/httpx/a.py:1)",
    )
    lines = [
        f"{loop};{call};dumps (/usr/lib/python3.11/json/__init__.py:231) 7",
        f"{loop} 2",
        "main (/usr/lib/python3.11/runpy.py:3) 1",
    ]
    assert read_samples(lines) == {"httpx": 7, "asyncio": 2, "python": 1}


def test_samples_share_out_the_whole_and_the_small_ones_are_one() -> None:
    parts = shared_out(Counter({"httpx": 600, "redis": 390, "a": 7, "b": 3}), 100.0)
    assert parts == pytest.approx({"httpx": 60.0, "redis": 39.0, "others": 1.0})
