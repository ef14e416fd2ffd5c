"""Settings as frozen values. Only entry points build them; everything else is handed one."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

OptOut = Literal["none", "basic", "blast", "all"]


class AccountSettings(BaseModel):
    """What one Sailthru account (brand) is set to. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    api_key: str | None = None
    api_secret: SecretStr | None = None
    customer_id: str | None = None
    api_url: str = "https://api.sailthru.com"
    pageview_url: str = "https://api.sail-track.com"
    write_keys: tuple[str, ...] = ()
    dry_run: bool = False

    default_list: str | None = None
    optout: OptOut | None = None
    reminder_template: str | None = None
    reminder_time: str | None = None
    shared_ids: frozenset[str] = frozenset()
    ordered_lanes: frozenset[str] = frozenset({"user", "event", "purchase", "page"})
    unknown_user: Literal["wait", "ignore"] = "wait"
    limits: dict[str, float] = Field(default_factory=dict)
    max_age: dict[str, float] = Field(default_factory=dict)

    retry_first: float = 1.0
    retry_max: float = 600.0
    retry_for: float = 4 * 3600.0
    retry_attempts: int = 5
    email_wait: float = 72 * 3600.0
    user_wait: float = 3600.0
    dedupe_window: float = 24 * 3600.0
    dead_keep: float = 30 * 86400.0
    dead_max: int = 100_000
    loan: float = 12.0
    read_lag: float = 3.0
    http_timeout: float = 8.0


class Settings(BaseModel):
    """What one sailpipe installation is set to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    redis_url: str | None = None
    data_dir: str = ".sailpipe"
    console_password: SecretStr | None = None
    alert_url: str | None = None
    accounts: dict[str, AccountSettings] = Field(
        default_factory=lambda: {"default": AccountSettings()}
    )
