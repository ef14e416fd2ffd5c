"""From the environment and sailpipe.toml to settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from pipeline.errors import ConfigError
from pipeline.roles import WriteKey
from pipeline.settings.models import SANDBOX_KEY, AccountSettings, Settings
from pipeline.settings.sources import DEFAULT_ACCOUNT, FieldNames, RawSettings, read_sources

Table = TypeVar("Table", bound=BaseModel)


def load_settings(env: Mapping[str, str], *, directory: Path | None = None) -> Settings:
    """Settings from `SAILPIPE_*` in `env` over sailpipe.toml in `directory` (the current one).

    When no account has an API key all get the sandbox's credentials and write key.

    Raises:
        ConfigError: one sentence that names the first wrong setting and says what to write.
    """
    raw = read_sources(env, directory or Path(), setting_names())
    accounts = {
        name: _build(AccountSettings, {"name": name, **table}, raw, name)
        for name, table in raw.accounts.items()
    }
    if all(account.target == "sandbox" for account in accounts.values()):
        accounts = {name: _as_sandbox(account) for name, account in accounts.items()}
    return _build(Settings, {**raw.installation, "accounts": accounts}, raw, None)


def setting_names() -> FieldNames:
    """Every setting there is, as field names."""
    return FieldNames(
        installation=frozenset(Settings.model_fields) - {"accounts"},
        account=frozenset(AccountSettings.model_fields) - {"name"},
        secrets=frozenset(
            name
            for name, field in {**Settings.model_fields, **AccountSettings.model_fields}.items()
            if not field.repr or SecretStr in get_args(field.annotation)
        ),
    )


def _as_sandbox(account: AccountSettings) -> AccountSettings:
    key = SANDBOX_KEY if account.name == DEFAULT_ACCOUNT else f"{SANDBOX_KEY}-{account.name}"
    return account.model_copy(
        update={
            "api_key": account.api_key or key,
            "api_secret": account.api_secret or SecretStr(key),
            "customer_id": account.customer_id or key,
            "write_keys": account.write_keys or (WriteKey(key),),
        }
    )


def _build(
    model: type[Table], values: dict[str, Any], raw: RawSettings, account: str | None
) -> Table:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(raw.explain(error, account)) from None
