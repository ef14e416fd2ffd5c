"""What can be set: of an installation, and of each account. Frozen values.

In the environment a field is `SAILPIPE_<NAME>`; flat names describe the account `default`.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.errors import ConfigError
from pipeline.reminders import parse_reminder_time
from pipeline.settings.sources import DEFAULT_ACCOUNT
from pipeline.settings.values import (
    DEFAULT_MAX_AGE_S,
    LEASE_MARGIN_S,
    MEMORY_KEEP_S,
    SHARED_IDS,
    AccountName,
    AlertTemplate,
    HookUrl,
    HostNames,
    HttpUrl,
    Limits,
    MaxAge,
    PositiveSeconds,
    RedisUrl,
    Seconds,
    Share,
    SharedIds,
    Size,
    WholeHours,
    Window,
    WriteKeys,
    split_collection,
)

Secret = SecretStr | None
ReminderTime = Annotated[str, AfterValidator(parse_reminder_time)]
OptOut = Literal["none", "basic", "blast", "all"]
Target = Literal["sandbox", "live"]

_CONSOLE_SECRETS = {
    "console_password": 8,
    "console_read_password": 8,
    "console_token": 20,
    "console_read_token": 20,
    "metrics_token": 20,
}
"""How long each must be: tries at a password are slowed down, tries at a token are not."""

SANDBOX_KEY = "sandbox"
"""API key, secret, customer id and write key when no API key is set."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _split(cls, value: Any, info: ValidationInfo) -> Any:
        return split_collection(cls.model_fields[info.field_name or ""].annotation, value)


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


class AccountSettings(_Settings):
    """What one Sailthru account (brand) is set to. Durations are seconds."""

    name: AccountName = DEFAULT_ACCOUNT
    api_key: str | None = Field(
        None,
        repr=False,
        description="Sailthru API key; without it everything goes to a sandbox. `NEW,OLD` while a key is being changed."
        " Programs that call this server as they would call Sailthru sign with it and its secret.",
    )
    api_secret: SecretStr | None = Field(
        None, description="Sailthru API secret; one for each key, or two of one key: `NEW,OLD`."
    )
    customer_id: str | None = Field(
        None, description="Sailthru customer id; page events are ignored without it."
    )
    track_pages: bool | None = Field(
        None, description="Send `page` events; on by default when CUSTOMER_ID is set."
    )
    track_screens: bool = Field(
        default=False, description="Send `screen` events that have a url as pageviews, too."
    )
    api_url: HttpUrl = Field("https://api.sailthru.com", description="Address of Sailthru's API.")
    pageview_url: HttpUrl = Field(
        "https://api.sail-track.com", description="Address of Sailthru's pageview service."
    )
    write_keys: WriteKeys = Field(
        (),
        repr=False,
        description="Keys that producers may use over HTTP, with role and rate: `erp,page:browser:200`. A key that"
        " stands in a page has the role `browser`.",
    )
    webhook_secrets: WriteKeys = Field(
        (),
        repr=False,
        description="Shared secrets that Segment's Webhooks destination signs with, `NEW,OLD` while one is being"
        " changed; role and rate as in WRITE_KEYS.",
    )
    browser_lists: frozenset[str] = Field(
        frozenset(),
        description="Lists that a `Subscribed` may join with a key of role `browser`, beside DEFAULT_LIST.",
    )
    dry_run: bool = Field(
        default=False,
        description="Do everything except call Sailthru; `sailpipe calls` shows what would have been sent.",
    )

    default_list: str | None = Field(None, description="List that identified users are added to.")
    optout: OptOut | None = Field(None, description="Opt-out level set on identified users.")
    reminder_template: str | None = Field(
        None, description="Template of the cart reminder; without a time none is sent."
    )
    reminder_time: ReminderTime | None = Field(
        None,
        description="When the cart reminder goes out, such as `24 hours`; without a template none is sent.",
    )
    shared_ids: SharedIds = Field(
        SHARED_IDS,
        description="User ids that many people share (any case); replaces the default set.",
    )
    unknown_user: Literal["wait", "ignore"] = Field(
        "wait", description="What a custom event does whose user Sailthru does not know."
    )
    limits: Limits = Field(
        default_factory=dict, description="Calls per second, `POST /event=80,GET /user=300`."
    )
    max_age: MaxAge = Field(
        DEFAULT_MAX_AGE_S,
        description="Older events become dead letters, by lane: `purchase=24h,event=off`. For the"
        " lane purchase it applies to carts; orders keep their own date.",
    )

    retry_first: PositiveSeconds = Field(1.0, description="Pause before the first retry.")
    retry_max: PositiveSeconds = Field(600.0, description="Longest pause between retries.")
    retry_for: Seconds = Field(
        4 * 3600.0, description="A failing event is retried for at least this long."
    )
    retry_attempts: int = Field(
        5, ge=1, le=1000, description="A failing event is tried at least this often."
    )
    email_wait: Seconds = Field(72 * 3600.0, description="How long an order waits for an email.")
    user_wait: Seconds = Field(3600.0, description="How long an event waits for its user.")
    dedupe_window: Seconds = Field(
        24 * 3600.0, description="How long a messageId is remembered to drop repeats."
    )
    order_window: Window = Field(
        30 * 86400.0,
        description="How long the id of a delivered order is remembered, so that the same order is not"
        " delivered twice, and that of a confirmation of Vibetrace's API; `off` never asks.",
    )
    dead_keep: PositiveSeconds = Field(30 * 86400.0, description="How long dead letters are kept.")
    dead_max: int = Field(
        100_000,
        ge=1,
        description="How many dead letters are kept. Beyond it the largest groups lose some, orders and"
        " refunds last, with an alert.",
    )
    trace_keep: Window = Field(
        3 * 86400.0,
        description="How long what became of an event is kept, for `sailpipe trace` and `user`; `off` keeps nothing.",
    )
    trace_max: Size = Field(
        256 << 20,
        description="How much room that may take in Redis, and no more than an eighth of its memory. Page views go first,"
        " orders last.",
    )
    memory_keep: PositiveSeconds = Field(
        MEMORY_KEEP_S,
        description="How long a user is remembered of whom nothing new is learned: the email, and which ids are"
        " whose.",
    )
    lane_bound: int = Field(
        1_000_000,
        ge=1,
        description="How many events may wait in a lane. Beyond it the ways in that check events refuse those of"
        " this lane.",
    )
    lease: PositiveSeconds = Field(
        12.0, description="How long a worker owns a user's mailbox without renewing."
    )
    read_lag: Seconds = Field(3.0, description="How long Sailthru's reads may lag its writes.")
    http_timeout: PositiveSeconds = Field(8.0, description="Total time of one call to Sailthru.")

    # mapping
    mapping: Literal["default", "classic"] = Field(
        "default", description="`classic` maps as Segment's first Sailthru destination did."
    )
    keysconflict: Literal["merge", "error"] = Field(
        "merge", description="What Sailthru does when an email already has another profile."
    )
    var_names: Literal["clean", "as_is"] = Field(
        "clean", description="`as_is` sends var names that Sailthru may cut or refuse."
    )
    zero_decimal_prices: Literal["hundredths", "whole"] = Field(
        "hundredths",
        description="What is sent for 1500 yen, or another currency without decimals: `hundredths`"
        " 150000, `whole` 1500.",
    )
    product_base_url: HttpUrl | None = Field(
        None, description="A product without a url gets this address and its id."
    )
    pii_properties: frozenset[str] = Field(
        frozenset(), description="Traits and properties never sent as vars: `phone,address.street`."
    )
    allow_delete: bool = Field(
        default=False, description="Let `User Deleted` events delete profiles at Sailthru."
    )
    cart_users: Literal["known", "any"] = Field(
        "known",
        description="Whose cart changes are delivered: those of a userId, or with `any` those of an anonymousId"
        " whose email is known, too. For shops whose platform never sends a userId.",
    )
    cart_item_id: Literal["product_id", "sku", "variant_id"] = Field(
        "product_id",
        description="What tells the items of a cart apart. With `sku` or `variant_id` each variant is"
        " an item of its own; a product without one goes by its `product_id`.",
    )
    clear_cart_after_hours: WholeHours | None = Field(
        None,
        description="A cart that has not changed for so many hours is emptied before the next change.",
    )

    @property
    def target(self) -> Target:
        """Whether calls go to a sandbox or to the real Sailthru."""
        key = self.api_key
        return "sandbox" if key is None or key.partition("-")[0] == SANDBOX_KEY else "live"

    @property
    def credentials(self) -> tuple[tuple[str, str], ...]:
        """API keys with their secrets, the one that is used first; none for the sandbox to be filled in."""
        keys = _listed(self.api_key)
        secrets = _listed(self.api_secret.get_secret_value() if self.api_secret else None)
        if len(keys) == 1:
            keys *= len(secrets)
        return tuple(zip(keys, secrets, strict=False))

    @model_validator(mode="after")
    def _check_credentials(self) -> AccountSettings:
        if (self.api_key is None) != (self.api_secret is None):
            have, lack = ("API_KEY", "API_SECRET") if self.api_key else ("API_SECRET", "API_KEY")
            msg = f"{have} is set but {lack} is not: set both, or neither to use the sandbox"
            raise ValueError(msg)
        keys = _listed(self.api_key)
        secrets = _listed(self.api_secret.get_secret_value() if self.api_secret else None)
        if len(keys) > 1 and len(keys) != len(secrets):
            msg = "API_SECRET must have a secret for each key of API_KEY, in the same order"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_pageviews(self) -> AccountSettings:
        asked = "TRACK_PAGES" if self.track_pages else "TRACK_SCREENS"
        if self.api_key and self.customer_id is None and (self.track_pages or self.track_screens):
            msg = f"{asked} is on but CUSTOMER_ID is not set: pageviews need it"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_times(self) -> AccountSettings:
        least = self.http_timeout + LEASE_MARGIN_S
        if self.lease < least:
            msg = (
                f"LEASE ({self.lease:g}s) must be at least HTTP_TIMEOUT plus {LEASE_MARGIN_S:g}s:"
                f" set LEASE={least:g}s or lower HTTP_TIMEOUT"
            )
            raise ValueError(msg)
        if self.retry_max < self.retry_first:
            msg = "RETRY_MAX is shorter than RETRY_FIRST: raise RETRY_MAX or lower RETRY_FIRST"
            raise ValueError(msg)
        return self


class Settings(_Settings):
    """What one sailpipe installation is set to."""

    redis_url: RedisUrl | None = Field(
        None,
        repr=False,
        description="Address of Redis; without it the embedded one of `sailpipe up`.",
    )
    data_dir: str = Field(".sailpipe", description="Where the embedded Redis keeps its data.")
    console_password: Secret = Field(
        None,
        description="Password of the web console; without it the console answers this machine alone.",
    )
    console_read_password: Secret = Field(
        None,
        description="Password of the console for who may look and change nothing.",
    )
    console_token: Secret = Field(
        None,
        description="Bearer token of `/api`, for programs; `openssl rand -hex 20`.",
    )
    console_read_token: Secret = Field(
        None, description="Bearer token of `/api` for programs that change nothing."
    )
    metrics_token: Secret = Field(
        None, description="Bearer token that shows `/metrics` and nothing else."
    )
    console_hosts: HostNames = Field(
        frozenset(),
        description="Names under which console, `/api` and `/metrics` answer, without ports; by default those of this machine:"
        " `localhost`, `127.0.0.1`, `::1`.",
    )
    redact: frozenset[str] = Field(
        frozenset(),
        description="Fields that console and `/api` show masked, wherever they stand in an event or call:"
        " `phone,street`.",
    )
    alert_url: HookUrl | None = Field(
        None, repr=False, description="Address that alerts are posted to ([alerts](alerts.md))."
    )
    alert_template: AlertTemplate | None = Field(
        None,
        repr=False,
        description="JSON that is posted in the place of ours, with `$summary`, `$state` and so on, for Slack or PagerDuty"
        " ([alerts](alerts.md)).",
    )
    alert_late: PositiveSeconds = Field(
        900.0, description="From when on a lane that falls behind is an alert."
    )
    alert_letters: int = Field(
        1000, ge=1, description="From how many dead letters of an account on there is an alert."
    )
    log_format: Literal["logfmt", "json"] = Field(
        "logfmt", description="How log lines are written: `logfmt` (`key=value`) or `json`."
    )
    memory_high: Share = Field(
        0.8,
        description="From which share of Redis' maxmemory on producers are refused; without a maxmemory, of the"
        " memory of its machine.",
    )
    accounts: dict[str, AccountSettings] = Field(
        default_factory=lambda: {DEFAULT_ACCOUNT: AccountSettings()}
    )

    @property
    def target(self) -> Target:
        """`live` as soon as one account has a real API key."""
        live = any(account.target == "live" for account in self.accounts.values())
        return "live" if live else "sandbox"

    def account(self, name: str) -> AccountSettings:
        """The account of that name. Raises ConfigError with the names there are."""
        if name not in self.accounts:
            known = ", ".join(sorted(self.accounts))
            raise ConfigError(f"There is no account {name!r}; the accounts are {known}.")
        return self.accounts[name]

    @model_validator(mode="after")
    def _check_console(self) -> Settings:
        if self.console_read_password and not self.console_password:
            msg = "SAILPIPE_CONSOLE_READ_PASSWORD is set but CONSOLE_PASSWORD is not: set both"
            raise ValueError(msg)
        found = {
            name: secret.get_secret_value()
            for name in _CONSOLE_SECRETS
            if (secret := getattr(self, name)) is not None
        }
        for name, text in found.items():
            if len(text) < _CONSOLE_SECRETS[name]:
                msg = f"SAILPIPE_{name.upper()}: this is too short; write {_CONSOLE_SECRETS[name]} characters or more"
                raise ValueError(msg)
        if len(set(found.values())) < len(found):
            msg = "a password or token of the console stands twice: a read-only one must be another"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_targets(self) -> Settings:
        for account in self.accounts.values():
            if account.target != self.target and account.name != DEFAULT_ACCOUNT:
                msg = f"[accounts.{account.name}] has no api_key while another account has: add it"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_keys(self) -> Settings:
        accounts = self.accounts.values()
        keys = Counter(
            one.key
            for account in accounts
            for one in (*account.write_keys, *account.webhook_secrets)
        )
        if any(count > 1 for count in keys.values()):
            msg = (
                "a key stands twice in WRITE_KEYS and WEBHOOK_SECRETS, or in those of two accounts: give each place"
                " a key of its own"
            )
            raise ValueError(msg)
        api_keys = Counter(
            key for account in accounts for key in {key for key, _ in account.credentials}
        )
        if any(count > 1 for count in api_keys.values()):
            msg = "API_KEY is the same in two accounts: give each account its own"
            raise ValueError(msg)
        return self
