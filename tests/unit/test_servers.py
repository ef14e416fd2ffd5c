"""What `make test-servers` runs on, and what it says of a server that a machine has not."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipeline.embedded.binary import SERVERS
from tests.servers import ALL, Server, run_on_each, with_only
from tests.unit.test_pythons import program


def server(name: str, says: str) -> Server:
    """One whose program says this of its version."""
    return Server(name, (7,), lambda folder: program(folder / "redis-server", f"echo {says}"))


def missing(_: Path) -> Path:
    msg = "apt-get"
    raise FileNotFoundError(msg)


def test_a_server_that_is_not_to_be_had_is_said_and_the_others_are_tested(tmp_path: Path) -> None:
    """Passed over in silence it would count as tested."""
    servers = [
        Server("none", (7,), missing),
        server("good", "v=7.0.15"),
        server("other", "v=6.2.14"),
        server("bad", "v=7.4.0"),
    ]
    outcomes = run_on_each(servers, tmp_path, lambda program: program.parent.name != "bad")
    assert outcomes["none"] == "not to be had on this machine (apt-get)"
    assert outcomes["other"].startswith("not to be had on this machine (")
    assert "another version" in outcomes["other"]
    assert (outcomes["good"], outcomes["bad"]) == ("passed", "FAILED")


def test_the_tests_find_no_other_server_than_the_one_they_are_run_on(tmp_path: Path) -> None:
    """`find_redis_server` takes redis-server before valkey-server."""
    for name in SERVERS:
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        path = with_only(program(tmp_path / "at" / name, "echo"), folder)
        found = [one for one in SERVERS if shutil.which(one, path=path)]
        assert found == [name]


def test_four_servers_are_tested() -> None:
    """The oldest that is taken, Debian's, the newest, and Valkey."""
    assert [one.name for one in ALL] == ["redis-6.2", "redis-7", "redis-8", "valkey"]
