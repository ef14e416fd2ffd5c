"""Where settings come from: `SAILPIPE_*` in the environment over sailpipe.toml, a secret also from a file that either
names. Only names are checked here, not values. A name that does not exist is an error that says so."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.errors import ConfigError
from pipeline.settings.renamed import now_called

PREFIX = "SAILPIPE_"
CONFIG = f"{PREFIX}CONFIG"
DEFAULT_FILE = "sailpipe.toml"
FROM_FILE = "_file"
"""Behind the name of a secret: its value is the path of the file that holds it."""
DEFAULT_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class FieldNames:
    """The settings there are: of the installation, and of each account. secrets: those of either that hold one."""

    installation: frozenset[str]
    account: frozenset[str]
    secrets: frozenset[str]

    def written(self, fields: frozenset[str]) -> frozenset[str]:
        """As they may be written: of a secret there is the name of its file, too."""
        return fields | {f"{name}{FROM_FILE}" for name in fields & self.secrets}


@dataclass(frozen=True, slots=True)
class RawSettings:
    """Values by field name, not yet checked. `from_file` says how to name one in an error."""

    installation: dict[str, Any]
    accounts: dict[str, dict[str, Any]]
    from_file: frozenset[str] = field(default_factory=frozenset)
    path: str = DEFAULT_FILE

    def explain(self, error: ValidationError, account: str | None) -> str:
        """The first problem as a sentence; pydantic's own text would quote the value, a secret maybe.

        account: whose table is wrong; None when it is the installation's own settings.
        """
        problem = error.errors(include_url=False, include_input=False)[0]
        cause = problem.get("ctx", {}).get("error")
        said = str(cause) if cause is not None else _lower_first(problem["msg"])
        if problem["loc"]:
            return f"{self._label(account, str(problem['loc'][0]))}: {said}."
        if account is None:
            return f"{said}."
        return f"{PREFIX}{said}." if account == DEFAULT_ACCOUNT else f"[accounts.{account}] {said}."

    def _label(self, account: str | None, name: str) -> str:
        if account not in {None, DEFAULT_ACCOUNT}:
            return f"{name} in [accounts.{account}] of {self.path}"
        if name in self.from_file:
            return f"{name} in {self.path}"
        return f"{PREFIX}{name.upper()}"


def read_sources(env: Mapping[str, str], directory: Path, names: FieldNames) -> RawSettings:
    """Read both sources. Raises ConfigError for a missing file, bad TOML or an unknown name."""
    path, document = _read_file(env, directory)
    tables = _account_tables(document, path, names.written(names.account))
    known = names.written(names.installation | names.account)
    _check_names(document, known, path)
    document = _with_secrets(document, names.secrets, directory, path)
    values = _with_secrets(_read_environment(env, known), names.secrets, directory, "")
    flat = {**document, **values}
    accounts = {
        DEFAULT_ACCOUNT: {k: v for k, v in flat.items() if k in names.account},
        **{
            name: _with_secrets(table, names.secrets, directory, f"[accounts.{name}] of {path}")
            for name, table in tables.items()
        },
    }
    return RawSettings(
        installation={k: v for k, v in flat.items() if k in names.installation},
        accounts=accounts,
        from_file=frozenset(document.keys() - values.keys()),
        path=path,
    )


def _read_environment(env: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    known = {f"{PREFIX}{name.upper()}": name for name in names}
    found: dict[str, str] = {}
    for name, text in env.items():
        if not name.startswith(PREFIX) or name == CONFIG:
            continue
        if name not in known:
            raise ConfigError(
                now_called(name, PREFIX)
                or f"{name} is not a setting{_nearest(name, [*known, CONFIG])}"
            )
        if text.strip():  # compose files pass on what is unset as an empty text
            found[known[name]] = text.strip()
    return found


def _with_secrets(
    values: Mapping[str, Any], secrets: frozenset[str], directory: Path, where: str
) -> dict[str, Any]:
    """The values of one source, with the secrets that stand in files. One that is given itself wins over its file.

    where: the file or table they stand in; empty for the environment.

    Raises:
        ConfigError: a file cannot be read.
    """
    found = {name: value for name, value in values.items() if not _names_file(name, secrets)}
    for written in values.keys() - found.keys():
        name = written.removesuffix(FROM_FILE)
        if name not in found:
            said = f"{written} in {where}" if where else f"{PREFIX}{written.upper()}"
            found[name] = _read_secret(directory / str(values[written]), said)
    return found


def _names_file(name: str, secrets: frozenset[str]) -> bool:
    return name.endswith(FROM_FILE) and name.removesuffix(FROM_FILE) in secrets


def _read_secret(path: Path, said: str) -> str:
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{said}: the file cannot be read ({error.strerror}).") from None
    except ValueError:
        raise ConfigError(f"{said}: the file is no text.") from None
    if not secret:
        raise ConfigError(f"{said}: the file is empty.")
    return secret


def _read_file(env: Mapping[str, str], directory: Path) -> tuple[str, dict[str, Any]]:
    wanted = env.get(CONFIG)
    path = directory / (wanted or DEFAULT_FILE)
    if not wanted and not path.is_file():
        return DEFAULT_FILE, {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{wanted or DEFAULT_FILE} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{wanted or DEFAULT_FILE} is not valid TOML: {error}.") from None
    return wanted or DEFAULT_FILE, {key: _as_text(value) for key, value in document.items()}


def _account_tables(
    document: dict[str, Any], path: str, names: frozenset[str]
) -> dict[str, dict[str, Any]]:
    tables = document.pop("accounts", {})
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise ConfigError(f"accounts in {path} must be tables: write [accounts.NAME].")
    if DEFAULT_ACCOUNT in tables:
        raise ConfigError(
            f"[accounts.default] in {path}: put its keys at the top of the file instead; they"
            " describe the account default."
        )
    for name, table in tables.items():
        _check_names(table, names, f"[accounts.{name}] of {path}")
    return {n: {k: _as_text(v) for k, v in table.items()} for n, table in tables.items()}


def _check_names(table: Mapping[str, Any], names: frozenset[str], where: str) -> None:
    for name in table.keys() - names:
        raise ConfigError(
            now_called(name, where=where)
            or f"{name} in {where} is not a setting{_nearest(name, sorted(names))}"
        )


def _as_text(value: Any) -> Any:
    """Numbers as text, so that a duration without a unit is refused here as in the environment."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _nearest(name: str, known: list[str]) -> str:
    by_bare_name = {one.removeprefix(PREFIX): one for one in known}  # or the prefix alone is near
    bare = name.removeprefix(PREFIX)
    bare = bare.upper() if name.startswith(PREFIX) else bare.lower()
    near = difflib.get_close_matches(bare, by_bare_name, n=1, cutoff=0.6)
    return f"; did you mean {by_bare_name[near[0]]}?" if near else "; docs/settings.md lists all."
