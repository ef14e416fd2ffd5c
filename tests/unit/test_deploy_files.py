"""Dockerfile, docker-compose.yml and deploy/ name what there is: files, settings, commands, versions. What an engine would
check is checked by its own tools where they are installed, and skipped elsewhere."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli.commands import COMMANDS, load
from pipeline.ingest.bodies import MAX_BODY_BYTES
from pipeline.ingest.connections import KEEP_ALIVE_S
from pipeline.lanes import Lane
from pipeline.settings import load_settings, setting_names
from tests.support.dockerfile import Step, read_stages

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BUILD, FINAL = read_stages(DOCKERFILE)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SECRETS: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.secrets.yml").read_text())
UNITS = sorted(DEPLOY.glob("systemd/*.service"))
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return dict(found)


def only(stage: list[Step], word: str) -> Step:
    [found] = [step for step in stage if step.word == word]
    return found


@pytest.mark.parametrize("lock", ["requirements-run.lock", "requirements-build.lock"])
def test_the_image_has_the_versions_that_are_tested(lock: str) -> None:
    """Each of its locks is a part of the one that tests are run with."""
    tested = pins("requirements.lock")
    assert {name: tested.get(name) for name in pins(lock)} == pins(lock)


def test_the_image_needs_no_test_tool() -> None:
    assert pins("requirements-run.lock").keys() & {"pytest", "mypy", "ruff", "hypothesis"} == set()
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = groups["project"]["optional-dependencies"]["run"] + groups["project"]["dependencies"]
    names = {re.split(r"[\[><=!~]", one)[0].replace("_", "-") for one in wanted}
    assert names <= pins("requirements-run.lock").keys()


def test_the_image_is_built_from_files_that_reach_the_engine() -> None:
    """A COPY of something that was renamed, or that .dockerignore hides, breaks the build."""
    copies = [step.rest.split() for step in BUILD if step.word == "COPY"]
    names = {name for words in copies for name in words[:-1]}
    assert {name for name in names if not (ROOT / name).exists()} == set()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    shown = {line[1:] for line in ignored if line.startswith("!")}
    assert ("*" in ignored, shown) == (True, names)
    assert not [one for one in shown if fnmatch.fnmatch(one, "*secret*") or one.endswith(".env")]


def test_a_container_runs_sailpipe_itself_as_nobody_special() -> None:
    """Exec form, so that SIGTERM reaches it; a number for a user, which orchestrators can tell from root's."""
    assert only(FINAL, "ENTRYPOINT").listed == ["sailpipe"]
    uid, gid = only(FINAL, "USER").rest.split(":")
    assert min(int(uid), int(gid)) >= 10_000
    assert only(FINAL, "STOPSIGNAL").rest == "SIGTERM"
    assert [step for step in FINAL if step.word == "RUN"] == []


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', DOCKERFILE))
    assert labels.keys() >= {"title", "description", "version", "licenses"}
    assert labels["version"] == VERSION


def commands() -> set[str]:
    """What containers and units run, and their health checks."""
    ours = [one for one in COMPOSE["services"].values() if "build" in one]
    checks = [one["healthcheck"]["test"][1:] for one in ours if "healthcheck" in one]
    listed = [only(FINAL, "HEALTHCHECK").listed, *checks]
    listed += [["sailpipe", *one["command"]] for one in ours]
    text = "\n".join(unit.read_text() for unit in UNITS).replace("--lanes %i", "--lanes page")
    started = re.findall(
        r"^ExecStart=\S+/(sailpipe .*)$", text.replace("%i", "serve"), re.MULTILINE
    )
    return {" ".join(words) for words in listed} | set(started)


@pytest.mark.parametrize("line", sorted(commands()))
def test_a_command_of_a_container_or_unit_exists_with_its_options(line: str) -> None:
    program, name, *words = line.split()
    assert (program, name in COMMANDS) == ("sailpipe", True)
    assert load(name).make_context(name, words).info_name == name


def test_every_setting_reaches_a_container(tmp_path: Path) -> None:
    """By the env file as by sailpipe.toml; what compose sets by itself is what only it can know."""
    for service in COMPOSE["services"].values():
        if "build" in service:
            assert service["env_file"] == [{"path": "${ENV_FILE:-sailpipe.env}", "required": False}]
            assert service["environment"].keys() == {"SAILPIPE_REDIS_URL"}
            assert "./deploy/config:/etc/sailpipe:ro" in service["volumes"]
    assert [step.rest for step in FINAL if step.word == "WORKDIR"] == ["/etc/sailpipe"]
    (tmp_path / "sailpipe.toml").write_text('email_wait = "1h"\n')
    assert load_settings({}, directory=tmp_path).account("default").email_wait == 3600


@pytest.mark.parametrize(
    "name", ["sailpipe.env.example", "sandbox.env", "compose.secrets.yml", "nginx.conf"]
)
def test_each_setting_that_a_file_names_exists(name: str) -> None:
    known = setting_names()
    settings = {f"SAILPIPE_{one}".upper() for one in known.installation | known.account}
    settings |= {f"SAILPIPE_{one}_FILE".upper() for one in known.secrets}
    named = set(re.findall(r"\bSAILPIPE_\w+", (DEPLOY / name).read_text()))
    assert named
    assert named - settings == set()


def test_the_env_files_are_settings_that_a_process_takes() -> None:
    """As they are: each with the keys that only its owner has."""
    for name in ("sailpipe.env.example", "sandbox.env"):
        lines = (DEPLOY / name).read_text().splitlines()
        env = dict(line.split("=", 1) for line in lines if line and line[0] != "#")
        assert load_settings(env, directory=Path("/nonexistent")).target == "sandbox"


def test_each_secret_of_a_service_is_a_file_of_the_folder_for_them() -> None:
    """And compose.secrets.yml gives them to each of our services that delivers or takes events."""
    for document in (COMPOSE, SECRETS):
        declared = document["secrets"]
        used = {
            one for service in document["services"].values() for one in service.get("secrets", [])
        }
        assert used == declared.keys()
        for name, secret in declared.items():
            assert secret == {"file": f"./deploy/secrets/{name}"}
    ours = {name for name, one in COMPOSE["services"].items() if "build" in one} - {"sandbox"}
    assert SECRETS["services"].keys() == ours
    paths = SECRETS["services"]["serve"]["environment"].values()
    assert sorted(paths) == sorted(f"/run/secrets/{name}" for name in SECRETS["secrets"])


def test_every_file_that_is_mounted_exists() -> None:
    mounts = [v for one in COMPOSE["services"].values() for v in one.get("volumes", [])]
    sources = [mount.partition(":")[0] for mount in mounts]
    files = {source for source in sources if source.startswith(".")}
    assert {source for source in files if not (ROOT / source).exists()} == set()
    assert {source for source in sources if not source.startswith(".")} == COMPOSE["volumes"].keys()


def test_prometheus_and_grafana_find_what_they_are_mounted() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    mounts = " ".join(COMPOSE["services"]["prometheus"]["volumes"])
    assert all(f":{path}:ro" in mounts for path in prometheus["rule_files"])
    [job] = prometheus["scrape_configs"]
    [target] = job["static_configs"][0]["targets"]
    assert target.partition(":")[0] in COMPOSE["services"]
    [provider] = yaml.safe_load((DEPLOY / "grafana/dashboards.yml").read_text())["providers"]
    assert f":{provider['options']['path']}/" in " ".join(COMPOSE["services"]["grafana"]["volumes"])
    [source] = yaml.safe_load((DEPLOY / "grafana/datasource.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"


def run(*words: str | Path, **environment: str) -> str:
    """What a tool says against a file; '' when it finds nothing."""
    program = shutil.which(words[0])
    if program is None:
        pytest.skip(f"there is no {words[0]} here")
    done = subprocess.run(  # noqa: S603 - tools of this machine
        [program, *words[1:]],
        env=environment or None,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    text = (DEPLOY / "prometheus.yml").read_text()
    (tmp_path / "metrics_token").write_text("token")
    text = text.replace("/etc/prometheus/rules.yml", str(DEPLOY / "prometheus-rules.yml"))
    (tmp_path / "p.yml").write_text(text.replace("/run/secrets", str(tmp_path)))
    assert run("promtool", "check", "config", tmp_path / "p.yml") == ""


def test_systemd_understands_the_units_and_finds_them_confined(tmp_path: Path) -> None:
    """Exposure is systemd's own word: 0 is nothing, 10 everything."""
    for unit in UNITS:
        name = unit.name.replace("@", "@purchase")
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
        (tmp_path / name).write_text(text)
        assert run("systemd-analyze", "verify", "--man=no", tmp_path / name) == ""
        check = ("security", "--offline=true", "--threshold=25", tmp_path / name)
        assert run("systemd-analyze", *check) == ""


def test_nginx_leaves_large_bodies_and_idle_connections_to_sailpipe() -> None:
    """A refusal in sailpipe's words, and no request on a connection that sailpipe is about to end."""
    text = (DEPLOY / "nginx.conf").read_text()
    assert re.search(r"client_max_body_size\s+1m;", text)
    assert MAX_BODY_BYTES < 1024**2
    [kept] = re.findall(r"keepalive_timeout (\d+)s;", text)
    assert int(kept) < KEEP_ALIVE_S
    assert len(Lane) == sum(name.startswith("worker-") for name in COMPOSE["services"])
