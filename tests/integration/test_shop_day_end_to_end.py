"""A whole shop day through real processes: `sailpipe up`, a file, and Sailthru's view of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.sample import EXPECTED, FILE, read_ends
from examples.shop_day.ends import differences
from pipeline.accept import message_id_for_line, prepare_line
from pipeline.cli.session import in_session
from pipeline.settings import load_settings
from tests.support.commands import Running, running, sailpipe, wait_until
from tests.support.redis_server import free_port
from tests.support.replay import end_state, replay

ROOT = Path(__file__).parents[2]
UP = "Ctrl-C stops"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def status() -> dict[str, Any]:
    """The default account's part of `sailpipe status --json`."""
    answer = sailpipe("status", "--json")
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["accounts"]["default"]
    return found


def sandbox_state(up: Running) -> dict[str, Any]:
    """What the sandbox of this `up` holds now."""
    found = re.search(r"Sandbox on (http://\S+);", up.output)
    assert found, up.output
    state: dict[str, Any] = httpx.get(f"{found[1]}/_sandbox/state", trust_env=False).json()
    return state


def raws() -> list[bytes]:
    """The sample's events as `sailpipe enqueue` appends them."""
    content = FILE.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return [
        prepare_line(line, message_id_for_line(digest, number))
        for number, line in enumerate(content.splitlines(), 1)
    ]


class Readme:
    """The README in a folder that looks like a clone, beside an `up`: its commands, as they are pasted."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port = folder, port
        (folder / ".venv").symlink_to(sys.prefix)
        for name in ("Makefile", "examples"):
            (folder / name).symlink_to(ROOT / name)
        text = (ROOT / "README.md").read_text()
        assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) == {"sh"}
        self.blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    def paste(self, block: str) -> subprocess.CompletedProcess[str]:
        """Run one block. What was set up for the tests is not set up again, and the port is that of this `up`."""
        block = block.replace("make ", "make -o setup ").replace(":8000", f":{self._port}")
        of_make = ("MAKE", "MFLAGS", "PYTHON", "VENV")  # what a make that runs the tests was told
        env = {k: v for k, v in os.environ.items() if not k.startswith(of_make)}
        return subprocess.run(  # noqa: S603 - our own README
            ["/bin/sh", "-c", block],
            cwd=self._folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@pytest.mark.long
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.timeout(240)
def test_the_readme_works_as_pasted_and_its_shop_day_ends_as_a_sequential_replay(
    folder: Path,
) -> None:
    """Every block in its order. Every event of the shop's day is accounted for, exactly the expected dead letters,
    and at Sailthru the same profiles, carts and orders as one event after the other would have left."""
    expected = json.loads(EXPECTED.read_text())
    port = free_port()
    readme = Readme(folder, port)
    run, sample, *others = readme.blocks
    assert (run, sample) == ("make run\n", "make sample\n")
    with running("up", "--port", str(port), directory=folder, **expected["settings"]) as up:
        up.wait_for(UP)
        said = readme.paste(sample)
        assert f"1973 of 1973 as expected: {expected['delivered']} delivered" in said.stdout, said
        wait_until(lambda: status()["counts"]["waiting"] == 0, "all is delivered or dead", 90)
        ends, is_over = in_session("default", read_ends)
        assert (differences(expected, ends), is_over, ends.through) == ([], True, 1973)
        counts = status()["counts"]
        assert [counts[name] for name in ("enqueued", "derived", "removed")] == [1973, 0, 0]
        alone = replay(raws(), load_settings({}, directory=folder).account("default"))
        assert end_state(sandbox_state(up)) == end_state(alone.sandbox.state.as_json())
        for block in others:
            done = readme.paste(block)
            assert done.returncode == 0, (block, done)
        delivered = expected["delivered"] + 3
        wait_until(lambda: status()["counts"]["delivered"] == delivered, "its own events arrive")
        again = readme.paste(sample)
        assert "sailpipe reset --yes && make sample" in again.stderr


@pytest.mark.timeout(60)
def test_an_order_waits_for_its_email_and_goes_out_when_an_identify_brings_it(
    folder: Path,
) -> None:
    """With default settings the order waits, using up no attempt, and one identify releases it."""
    order = {
        "type": "track",
        "event": "Order Completed",
        "userId": "late-1",
        "messageId": "order-1",
        "properties": {
            "order_id": "o-late-1",
            "products": [
                {
                    "product_id": "p-1",
                    "name": "Cup",
                    "price": 9.5,
                    "quantity": 1,
                    "url": "https://shop.example.com/p-1",
                }
            ],
        },
    }
    identify = {"type": "identify", "userId": "late-1", "traits": {"email": "late@example.com"}}
    with running("up", "--port", str(free_port()), directory=folder) as up:
        up.wait_for(UP)
        sailpipe("enqueue", "-", stdin=json.dumps(order).encode() + b"\n")
        wait_until(lambda: status()["lanes"]["purchase"]["waiting_email"] == 1, "it waits")
        assert sandbox_state(up)["purchases"] == []
        sailpipe("enqueue", "-", stdin=json.dumps(identify).encode() + b"\n")
        wait_until(lambda: status()["counts"]["delivered"] == 2, "both are delivered")
        [bought] = sandbox_state(up)["purchases"]
    assert bought["extid"] == "o-late-1"
    assert bought["params"]["email"] == "late@example.com"


def thank_you_page(message_id: str) -> bytes:
    """What the page of one order sends each time it is loaded."""
    line = {"product_id": "p", "name": "Tea", "price": 9, "quantity": 1}
    return json.dumps(
        {
            "type": "track",
            "event": "Order Completed",
            "userId": "ty-1",
            "messageId": message_id,
            "context": {"traits": {"email": "ty@example.com"}},
            "properties": {
                "order_id": "TY-100",
                "total": 9,
                "products": [line | {"url": "https://shop.example/tea"}],
            },
            "integrations": {"Sailthru": {"sendTemplate": "Order Confirmation"}},
        }
    ).encode()


@pytest.mark.timeout(60)
def test_a_thank_you_page_that_is_reloaded_is_one_purchase_at_sailthru(folder: Path) -> None:
    """And one mail: the second event is ignored."""
    with running("up", "--port", str(free_port()), directory=folder) as up:
        up.wait_for(UP)
        lines = b"\n".join(map(thank_you_page, ("page-1", "page-2")))
        sailpipe("enqueue", "-", stdin=lines + b"\n")
        wait_until(lambda: status()["counts"]["ignored"] == 1, "the second is ignored")
        [bought] = sandbox_state(up)["purchases"]
        assert status()["ignored"] == {"duplicate_order": 1}
    assert (bought["extid"], bought["params"]["send_template"]) == ("TY-100", "Order Confirmation")
