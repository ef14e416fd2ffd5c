"""Where a running `sailpipe up` can be found: commands in the same folder join it.

`up` leaves the addresses of what it runs in DATA_DIR. What a setting says comes first.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import TypeAdapter

from pipeline.errors import ConfigError
from pipeline.settings import AccountSettings, Settings
from pipeline.settings.values import HttpUrl, RedisUrl

REDIS_FILE = "redis.url"
SANDBOX_FILE = "sandbox.url"
_REDIS_URL: TypeAdapter[str] = TypeAdapter(RedisUrl)
_HTTP_URL: TypeAdapter[str] = TypeAdapter(HttpUrl)
_REAL_HOSTS = frozenset(
    AccountSettings.model_fields[name].default for name in ("api_url", "pageview_url")
)


def resolve_redis_url(settings: Settings) -> str:
    """REDIS_URL, else the embedded Redis of a running `up`. Raises ConfigError without either."""
    if settings.redis_url:
        return settings.redis_url
    found = _read(settings, REDIS_FILE, _REDIS_URL)
    if found is None:
        raise ConfigError(
            f"There is no Redis: start `sailpipe up` (its data would be in {settings.data_dir}),"
            " or set SAILPIPE_REDIS_URL."
        )
    return found


def with_addresses(settings: Settings) -> Settings:
    """Settings with `redis_url` filled in and sandbox accounts pointed at the sandbox of `up`.

    Raises:
        ConfigError: there is no Redis, or no sandbox although one is needed.
    """
    redis_url = resolve_redis_url(settings)
    return with_sandbox(settings).model_copy(update={"redis_url": redis_url})


def with_sandbox(settings: Settings) -> Settings:
    """Settings in which no account without an API key points at the real Sailthru.

    Raises:
        ConfigError: no API key is set and no sandbox runs.
    """
    if settings.target == "live":
        return settings
    accounts = settings.accounts.items()
    pointed = {name: _to_sandbox(account, settings) for name, account in accounts}
    return settings.model_copy(update={"accounts": pointed})


def needs_sandbox(settings: Settings) -> bool:
    """Whether some account has neither an API key nor a sandbox named by its settings."""
    return settings.target == "sandbox" and any(
        _points_at_sailthru(account) for account in settings.accounts.values()
    )


def write_address(directory: Path, name: str, url: str) -> None:
    """Publish an address, which may hold a password."""
    write_private(directory / name, f"{url}\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only our user may read. Readers see the old text or the new one, never half of one."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)  # a file that is there keeps its mode
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def withdraw_address(directory: Path, name: str) -> None:
    """Take an address back: no process should look for a server that was stopped."""
    (directory / name).unlink(missing_ok=True)


def _to_sandbox(account: AccountSettings, settings: Settings) -> AccountSettings:
    if not _points_at_sailthru(account):
        return account
    found = _read(settings, SANDBOX_FILE, _HTTP_URL)
    if found is None:
        raise ConfigError(
            "No API key is set and no sandbox is running: start `sailpipe up`, or set"
            " SAILPIPE_API_KEY and SAILPIPE_API_SECRET, or point SAILPIPE_API_URL and"
            " SAILPIPE_PAGEVIEW_URL at a `sailpipe sandbox`."
        )
    pointed = {
        name: found for name in ("api_url", "pageview_url") if getattr(account, name) in _REAL_HOSTS
    }
    return account.model_copy(update=pointed)


def _points_at_sailthru(account: AccountSettings) -> bool:
    return not _REAL_HOSTS.isdisjoint({account.api_url, account.pageview_url})


def _read(settings: Settings, name: str, kind: TypeAdapter[str]) -> str | None:
    path = Path(settings.data_dir) / name
    try:
        return kind.validate_python(path.read_text().strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigError(f"{path} holds no address: delete it and start `sailpipe up`.") from None
