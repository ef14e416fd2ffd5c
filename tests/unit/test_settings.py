"""Settings: a right one is read, a wrong one is one sentence that names it before anything starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import ConfigError
from pipeline.roles import Role, WriteKey
from pipeline.settings import AccountSettings, Settings, load_settings, setting_names

LIVE = {"SAILPIPE_API_KEY": "key", "SAILPIPE_API_SECRET": "hunter2"}


def load(directory: Path | None = None, /, **values: str) -> Settings:
    env = {f"SAILPIPE_{name}": value for name, value in values.items()}
    return load_settings(env, directory=directory or Path("/nonexistent"))


def test_every_setting_is_described_and_used() -> None:
    """One that nothing reads would be set in vain."""
    fields = {**Settings.model_fields, **AccountSettings.model_fields}
    names = setting_names().installation | setting_names().account
    assert [name for name in names if not fields[name].description] == []
    root = Path(pipeline.__file__).parents[1]
    modules = [*root.glob("pipeline/**/*.py"), *root.glob("workers/*.py")]
    code = "\n".join(path.read_text() for path in modules if path.parent.name != "settings")
    unused = {name for name in names if not re.search(rf"\.{name}\b", code)}
    assert unused == set()


def test_without_any_setting_the_target_is_the_sandbox_with_its_key() -> None:
    """No API key: target sandbox, and api key, secret and write key are `sandbox`."""
    settings = load()
    account = settings.account("default")
    assert settings.target == "sandbox"
    assert account.api_secret is not None
    assert (account.api_key, account.api_secret.get_secret_value()) == ("sandbox", "sandbox")
    assert account.write_keys == (WriteKey("sandbox"),)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"CONSOLE_PASSWORD": "short"}, "CONSOLE_PASSWORD: this is too short; write 8 characters"),
        ({"CONSOLE_TOKEN": "s" * 19}, "CONSOLE_TOKEN: this is too short; write 20 characters"),
        ({"CONSOLE_READ_PASSWORD": "long enough"}, "CONSOLE_PASSWORD is not: set both"),
        (
            {"CONSOLE_PASSWORD": "the same one", "CONSOLE_READ_PASSWORD": "the same one"},
            "stands twice: a read-only one must be another",
        ),
        ({"CONSOLE_HOSTS": "https://pipe.example"}, "write names without scheme and port"),
        ({"CONSOLE_HOSTS": "pipe.example:8000"}, "write names without scheme and port"),
    ],
)
def test_who_may_open_the_console_is_set_clearly_or_not_at_all(
    values: dict[str, str], sentence: str
) -> None:
    """A password that is easily guessed, or that cannot be told from another, is none."""
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        load(**values)
    assert "the same one" not in str(caught.value)


def test_host_names_are_read_as_browsers_write_them() -> None:
    """In any case, IPv6 with its brackets."""
    hosts = load(CONSOLE_HOSTS="Pipe.Example.com., [::1]").console_hosts
    assert hosts == {"pipe.example.com", "::1"}


def test_against_the_real_sailthru_no_write_key_is_made_up() -> None:
    """`sandbox` as a write key of a live account would let the whole internet in."""
    settings = load_settings(LIVE)
    assert settings.target == "live"
    assert settings.account("default").write_keys == ()


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("RETRY_FIRST", "2s", "retry_first", 2.0),
        ("RETRY_MAX", "10m", "retry_max", 600.0),
        ("EMAIL_WAIT", "72h", "email_wait", 72 * 3600.0),
        ("DEAD_KEEP", "30d", "dead_keep", 30 * 86400.0),
        ("USER_WAIT", "1.5h", "user_wait", 5400.0),
        ("WRITE_KEYS", "a, b,,c", "write_keys", (WriteKey("a"), WriteKey("b"), WriteKey("c"))),
        (
            "WRITE_KEYS",
            "erp,page:browser:200, app : browser,till:server:0.5e2",
            "write_keys",
            (
                WriteKey("erp"),
                WriteKey("page", Role.BROWSER, 200.0),
                WriteKey("app", Role.BROWSER),
                WriteKey("till", Role.SERVER, 50.0),
            ),
        ),
        ("SHARED_IDS", "Nobody,0", "shared_ids", frozenset({"nobody", "0"})),
        (
            "LIMITS",
            "POST /event=80,get /user=300",
            "limits",
            {"POST /event": 80.0, "GET /user": 300.0},
        ),
        ("MAX_AGE", "event=1h", "max_age", {"purchase": 86400.0, "event": 3600.0}),
        ("MAX_AGE", "purchase=off", "max_age", {}),
        ("DRY_RUN", "yes", "dry_run", True),
        ("REMINDER_TIME", "+24 hours", "reminder_time", "+24 hours"),
        ("DEFAULT_LIST", "", "default_list", None),
    ],
)
def test_text_becomes_the_value_it_means(name: str, text: str, field: str, value: object) -> None:
    """Durations are seconds, lists are comma-separated, pairs have `=`; empty text is unset."""
    assert getattr(load(**{name: text}).account("default"), field) == value


def test_a_share_is_written_as_a_percentage() -> None:
    """It is of the installation: all accounts share one Redis."""
    assert load(MEMORY_HIGH="72.5 %").memory_high == 0.725


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"REDIS_URLL": "x"}, ["SAILPIPE_REDIS_URLL", "did you mean SAILPIPE_REDIS_URL?"]),
        ({"QUUX": "x"}, ["SAILPIPE_QUUX", "docs/settings.md"]),
        ({"REDIS_URL": "http://x"}, ["SAILPIPE_REDIS_URL", "redis://"]),
        ({"API_KEY": "k"}, ["SAILPIPE_API_KEY", "API_SECRET is not"]),
        ({"API_SECRET": "hunter2"}, ["SAILPIPE_API_SECRET", "API_KEY is not"]),
        ({"API_URL": "ftp://x"}, ["SAILPIPE_API_URL", "https://"]),
        ({"RETRY_FIRST": "2"}, ["SAILPIPE_RETRY_FIRST", "'2'", "10m"]),
        ({"RETRY_FIRST": "0s"}, ["SAILPIPE_RETRY_FIRST", "greater than 0"]),
        ({"RETRY_FIRST": "20m"}, ["SAILPIPE_RETRY_MAX", "RETRY_FIRST"]),
        ({"LEASE": "10s"}, ["SAILPIPE_LEASE", "LEASE=12s"]),
        ({"HTTP_TIMEOUT": "9s"}, ["SAILPIPE_LEASE", "LEASE=13s"]),
        ({"LIMITS": "/event=80"}, ["SAILPIPE_LIMITS", "POST /event=80"]),
        ({"LIMITS": "POST /event"}, ["SAILPIPE_LIMITS", "NAME=VALUE"]),
        ({"LIMITS": "POST /event=0"}, ["SAILPIPE_LIMITS", "greater than 0"]),
        ({"MAX_AGE": "evnt=1h"}, ["SAILPIPE_MAX_AGE", "'evnt'", "purchase"]),
        ({"MEMORY_HIGH": "0.8"}, ["SAILPIPE_MEMORY_HIGH", "'0.8'", "80%"]),
        ({"TRACE_MAX": "256"}, ["SAILPIPE_TRACE_MAX", "'256'", "256MB"]),
        ({"TRACE_KEEP": "3"}, ["SAILPIPE_TRACE_KEEP", "'3'", "72h"]),
        ({"MEMORY_HIGH": "120%"}, ["SAILPIPE_MEMORY_HIGH", "less than or equal to 1"]),
        ({"MEMORY_KEEP": "180"}, ["SAILPIPE_MEMORY_KEEP", "'180'", "30d"]),
        ({"LANE_BOUND": "0"}, ["SAILPIPE_LANE_BOUND", "greater than or equal to 1"]),
        ({"OPTOUT": "x"}, ["SAILPIPE_OPTOUT", "'blast'"]),
        ({"REMINDER_TIME": "soon"}, ["SAILPIPE_REMINDER_TIME", "24 hours"]),
        ({"DRY_RUN": "perhaps"}, ["SAILPIPE_DRY_RUN", "boolean"]),
        ({"CONFIG": "nowhere.toml"}, ["nowhere.toml", "cannot be read"]),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    values: dict[str, str], parts: list[str]
) -> None:
    """Nothing starts with a wrong setting, and the sentence says what to write instead."""
    with pytest.raises(ConfigError) as caught:
        load(**values)
    said = str(caught.value)
    assert all(part in said for part in parts), said
    assert said[-1] in ".?"
    assert "\n" not in said


def test_secrets_appear_in_no_error_and_no_repr() -> None:
    """A setting's error or repr ends up in logs; secrets and addresses with passwords must not."""
    settings = load(
        API_KEY="topsecret1",
        API_SECRET="topsecret2",
        WRITE_KEYS="topsecret3",
        CONSOLE_PASSWORD="topsecret4",
        REDIS_URL="redis://:topsecret5@localhost/0",
    )
    assert "topsecret" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        load(REDIS_URL="http://:topsecret@localhost")
    assert "topsecret" not in str(caught.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """sailpipe.toml holds what is shared, the environment what differs here."""
    (tmp_path / "sailpipe.toml").write_text('retry_first = "3s"\nemail_wait = "5s"\ndead_max = 7\n')
    account = load(tmp_path, EMAIL_WAIT="9s").account("default")
    assert (account.retry_first, account.email_wait, account.dead_max) == (3.0, 9.0, 7)


def test_each_brand_has_its_own_table(tmp_path: Path) -> None:
    """`[accounts.NAME]` tables take the same keys; flat names describe the account default."""
    path = tmp_path / "brands.toml"
    path.write_text(
        'api_key = "a"\napi_secret = "s"\n'
        '[accounts.shoes]\napi_key = "b"\napi_secret = "t"\nwrite_keys = ["w1", "w2"]\n'
        "[accounts.shoes.limits]\n'POST /event' = 80\n"
    )
    settings = load(tmp_path, CONFIG=str(path))
    assert settings.account("shoes").write_keys == (WriteKey("w1"), WriteKey("w2"))
    assert settings.account("shoes").limits == {"POST /event": 80.0}
    assert settings.account("default").api_key == "a"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("retry_frist = '1s'", ["retry_frist in sailpipe.toml", "did you mean retry_first?"]),
        ("retry_first = 2", ["retry_first in sailpipe.toml", "'2'", "2s"]),
        ("a = 1 2", ["sailpipe.toml", "not valid TOML", "line 1"]),
        ("[accounts.default]\n", ["[accounts.default]", "top of the file"]),
        ("[accounts.'a:b']\n", ["name in [accounts.a:b]", "letters"]),
        ("[accounts.b]\nredis_url='x'", ["redis_url in [accounts.b]", "not a setting"]),
        ("[accounts.b]\nlease='1s'", ["[accounts.b] LEASE", "LEASE=12s"]),
        (
            "api_key='a'\napi_secret='b'\n[accounts.b]\n",
            ["[accounts.b]", "no api_key"],
        ),
        ("write_keys='w'\n[accounts.b]\nwrite_keys='w'", ["WRITE_KEYS", "two accounts"]),
    ],
)
def test_a_wrong_file_is_one_sentence_that_says_where(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    """In a file with several accounts the sentence must name the table too."""
    (tmp_path / "sailpipe.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_the_error_for_an_unknown_account_lists_the_known_ones() -> None:
    """`--account` with a typo must not look like an empty account."""
    with pytest.raises(ConfigError, match=r"'shoos'.*default"):
        load().account("shoos")


def test_every_setting_says_what_it_is_for() -> None:
    """docs/settings.md is made from these descriptions."""
    fields = {**AccountSettings.model_fields, **Settings.model_fields}
    names = setting_names()
    assert [n for n in names.account | names.installation if not fields[n].description] == []


def test_keys_and_secrets_that_are_being_changed_stand_side_by_side() -> None:
    """The one that is used first; two secrets of one key, too. A key without its secret is one sentence."""
    both = load(API_KEY="new, old", API_SECRET="s1,s2").account("default")
    assert both.credentials == (("new", "s1"), ("old", "s2"))
    one_key = load(API_KEY="key", API_SECRET="s1,s2").account("default")
    assert one_key.credentials == (("key", "s1"), ("key", "s2"))
    with pytest.raises(ConfigError, match="API_SECRET must have a secret for each key"):
        load(API_KEY="new,old", API_SECRET="s1")


@pytest.mark.parametrize("name", ["TRACK_PAGES", "TRACK_SCREENS"])
def test_pageviews_that_are_asked_for_need_a_customer_id(name: str) -> None:
    """Against the real Sailthru; the sandbox has one."""
    live = {key.removeprefix("SAILPIPE_"): value for key, value in LIVE.items()}
    with pytest.raises(ConfigError, match=f"{name} is on but CUSTOMER_ID is not set"):
        load(**live, **{name: "true"})
    assert load(**live, **{name: "true"}, CUSTOMER_ID="c1")
    assert load(**{name: "true"})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    """As orchestrators mount them; one that is set itself wins, and what is no secret has no file."""
    (tmp_path / "key").write_text("key-1\n")
    (tmp_path / "keys").write_text("new,\nold\n")
    (tmp_path / "sailpipe.toml").write_text(
        "api_secret_file = 'key'\n[accounts.b]\napi_key_file = 'keys'\napi_secret = 's,s'\n"
    )
    settings = load(
        tmp_path,
        API_KEY_FILE="key",
        WRITE_KEYS_FILE=str(tmp_path / "keys"),
        CONSOLE_PASSWORD="password",
        CONSOLE_PASSWORD_FILE="/nowhere",
    )
    account = settings.account("default")
    assert account.credentials == (("key-1", "key-1"),)
    assert account.write_keys == (WriteKey("new"), WriteKey("old"))
    assert settings.console_password is not None
    assert settings.console_password.get_secret_value() == "password"
    assert settings.account("b").credentials == (("new", "s"), ("old", "s"))
    with pytest.raises(ConfigError, match="LEASE_FILE is not a setting"):
        load(LEASE_FILE="x")


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file"), (b" \n", "is empty"), (b"\xff", "is no text")]
)
def test_a_secret_that_its_file_does_not_give_is_one_sentence(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    """It names the setting, and shows nothing of the file."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^SAILPIPE_API_KEY_FILE: .*{problem}"):
        load(tmp_path, API_KEY_FILE="key", API_SECRET="s")
    (tmp_path / "sailpipe.toml").write_text("[accounts.b]\napi_key_file = 'key'\n")
    with pytest.raises(ConfigError, match=rf"^api_key_file in \[accounts.b\] .*{problem}"):
        load(tmp_path)


def test_a_webhooks_secret_is_no_other_key() -> None:
    """Who has the write key of a page would sign for a server."""
    roles = load(WEBHOOK_SECRETS="a,b:browser:200").account("default").webhook_secrets
    assert roles == (WriteKey("a"), WriteKey("b", Role.BROWSER, 200.0))
    with pytest.raises(ConfigError, match="WRITE_KEYS and WEBHOOK_SECRETS"):
        load(WRITE_KEYS="page:browser", WEBHOOK_SECRETS="page")
