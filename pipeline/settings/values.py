"""How the text of a setting becomes a value: durations, lists, pairs. Pure.

Each parser takes text (from the environment or sailpipe.toml) or the finished value (from Python)
and raises ValueError with a sentence that says what to write instead. Texts that may hold a
secret are never quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from string import Template
from typing import Annotated, Any, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from pipeline.lanes import Lane
from pipeline.roles import Role, WriteKey

_UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_BUCKET = re.compile(r"(GET|POST|DELETE) (/\S+)")
_OUR_KEYS = frozenset({"raw", "splitter", "celery", "format", "console", "alerts"})
_MAX_KEY_PARTS = 2
MAX_RATE = 100_000
_HOST_NAME = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]+")
_LIVES_IN_A_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")

ALERT_NAMES = (
    *("kind", "account", "scope", "detail", "since", "state", "id", "severity", "summary"),
    "action",
)
"""What ALERT_TEMPLATE may name, each as `$NAME`."""
MEMORY_KEEP_S = 180 * 86400.0
LEASE_MARGIN_S = 4.0
"""A call begins only with a lease that outlives it: 1 s to settle, 3 s between renewals."""
SHARED_IDS = frozenset(
    {"guest", "undefined", "null", "none", "nil", "nan", "0", "-1", "anonymous", "unknown", "n/a"}
    | {"", "false", "[object object]", "00000000-0000-0000-0000-000000000000"}
)
"""What broken snippets and guest checkouts send as a user id, in lower case."""
DEFAULT_MAX_AGE_S = {"purchase": 24 * 3600.0}
"""A cart that is a day late would send a reminder for something long bought."""


def parse_duration(value: object) -> object:
    """`90s`, `10m`, `72h` or `30d` in seconds. A number from Python is seconds already."""
    if not isinstance(value, str):
        return value
    found = _DURATION.fullmatch(value.strip().lower())
    if found is None:
        msg = f"{value!r} is not a duration; write a number and a unit: 2s, 10m, 72h or 30d"
        raise ValueError(msg)
    return float(found[1]) * _UNIT_S[found[2]]


def parse_window(value: object) -> object:
    """As `parse_duration`; `off` is none."""
    is_off = isinstance(value, str) and value.strip().lower() == "off"
    return None if is_off else parse_duration(value)


def parse_share(value: object) -> object:
    """`80%` as 0.8. A number from Python is a share already."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())
    if found is None:
        msg = f"{value!r} is not a percentage; write for example 80%"
        raise ValueError(msg)
    return float(found[1]) / 100


def parse_size(value: object) -> object:
    """`256MB`, `64KB` or `1GB` in bytes. A number from Python is bytes already."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+)\s*([KMG]B)", value.strip().upper())
    if found is None:
        msg = f"{value!r} is not a size; write a whole number and a unit: 64KB, 256MB or 1GB"
        raise ValueError(msg)
    return int(found[1]) * _SIZES[found[2]]


def parse_limits(value: object) -> object:
    """`POST /event=80` pairs: calls/s by method and path, methods in any case."""
    if not isinstance(value, Mapping):
        return value
    return {_bucket(str(name)): rate for name, rate in value.items()}


def _bucket(name: str) -> str:
    method, _, path = name.strip().partition(" ")
    bucket = f"{method.upper()} {path.strip()}"
    if not _BUCKET.fullmatch(bucket):
        msg = f"{name!r} is not a method and a path; write POST /event=80,GET /user=300"
        raise ValueError(msg)
    return bucket


def parse_max_age(value: object) -> object:
    """`purchase=24h,event=off` in seconds by lane; `off` and a lane that is not named differ only
    where a lane has a default."""
    if not isinstance(value, Mapping):
        return value
    ages = {_lane(lane): age for lane, age in value.items()}
    kept = {lane: parse_duration(age) for lane, age in ages.items() if age != "off"}
    defaults = {lane: age for lane, age in DEFAULT_MAX_AGE_S.items() if lane not in ages}
    return defaults | kept


def _lane(name: object) -> str:
    if name not in list(Lane):
        msg = f"{name!r} is not a lane; the lanes are {', '.join(Lane)}"
        raise ValueError(msg)
    return str(name)


def parse_whole_hours(value: object) -> object:
    """`36` or `36.5`, as text or number; a fraction is cut off, as Sailthru's own setting does."""
    if isinstance(value, float):
        value = str(value)
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"([0-9]+)(\.[0-9]*)?", value.strip())
    if found is None:
        msg = f"{value!r} is not a number of hours; write for example 24"
        raise ValueError(msg)
    return int(found[1])


def parse_write_keys(value: object) -> object:
    """`erp,page:browser:200`: each key with its role, `server` without one, and its rate. No key is quoted."""
    if not isinstance(value, list | tuple):
        return value
    return [_write_key(one) if isinstance(one, str) else one for one in value]


def _write_key(text: str) -> WriteKey:
    key, *rest = (part.strip() for part in text.split(":"))
    role, rate = [*rest, "", ""][:2]
    if not key or len(rest) > _MAX_KEY_PARTS or (role or Role.SERVER.value) not in list(Role):
        msg = "write KEY, KEY:browser or KEY:browser:200; the roles are server and browser"
        raise ValueError(msg)
    try:
        return WriteKey(key, Role.read(role), _rate(rate) if len(rest) == _MAX_KEY_PARTS else None)
    except ValueError:
        msg = f"the rate of a key is a number of events a second up to {MAX_RATE}, as in KEY:browser:200"
        raise ValueError(msg) from None


def _rate(text: str) -> float:
    rate = float(text)
    if not 1 <= rate <= MAX_RATE:
        raise ValueError
    return rate


def _check_http_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^/\s?#]+(/[^\s?#]*)?", value):
        msg = "this is not an http:// or https:// address; write https://HOST"
        raise ValueError(msg)
    return value.rstrip("/")


def parse_host_names(value: object) -> object:
    """Host names as the console compares them: lower case, an IPv6 address without its brackets."""
    if not isinstance(value, list | set | frozenset | tuple):
        return value
    names = [str(name).strip().lower().strip("[]").removesuffix(".") for name in value]
    if any(not _HOST_NAME.fullmatch(name) for name in names):
        msg = "write names without scheme and port, such as sailpipe.example.com"
        raise ValueError(msg)
    return frozenset(names)


def _check_hook_url(value: str) -> str:
    """An address that is posted to as it is: a receiver's token is often in its query."""
    if not re.fullmatch(r"https?://[^/\s?#]+([/?][^\s#]*)?", value):
        msg = "this is not an http:// or https:// address; write https://HOST/PATH"
        raise ValueError(msg)
    return value


def _check_redis_url(value: str) -> str:
    if not re.match(r"(rediss?://|unix://|redis\+sentinel://)\S", value):
        msg = "this is not a Redis address; write redis://HOST:6379/0 (or rediss:, unix:)"
        raise ValueError(msg)
    try:
        _ = "sentinel" in value or urlsplit(value).port
    except ValueError:
        msg = "the port is not a number; write special characters of a password as %2F and the like"
        raise ValueError(msg) from None
    return value


def check_account_name(name: str) -> str:
    """Account names become parts of Redis keys: letters, digits, `-` and `_`."""
    if not _LIVES_IN_A_KEY.fullmatch(name) or name in _OUR_KEYS:
        msg = f"{name!r} cannot name an account; use letters, digits, - and _, and none of the names that sailpipe's own keys have"
        raise ValueError(msg)
    return name


def split_collection(annotation: object, value: Any) -> Any:
    """Comma-separated text as the collection that a field of type `annotation` holds."""
    origin = get_origin(annotation)
    if not isinstance(value, str) or origin not in {tuple, frozenset, dict}:
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    return dict(_pair(part) for part in parts) if origin is dict else parts


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals:
        msg = f"{text!r} is not a pair; write NAME=VALUE,NAME=VALUE"
        raise ValueError(msg)
    return name.strip(), value.strip()


def _check_alert_template(value: str) -> str:
    """Whether it is JSON once its names are filled in, and names nothing but what an alert has."""
    template = Template(value)
    unknown = sorted(set(template.get_identifiers()) - set(ALERT_NAMES))
    if unknown:
        msg = f"${unknown[0]} is not in an alert; the names are {', '.join(ALERT_NAMES)}"
        raise ValueError(msg)
    try:
        json.loads(template.substitute(dict.fromkeys(ALERT_NAMES, "x")))
    except ValueError:
        msg = 'this is not JSON; write, for example, {"text": "$summary"} ($$ is a dollar sign)'
        raise ValueError(msg) from None
    return value


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False)
]
Window = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(parse_window)
]
AlertTemplate = Annotated[str, AfterValidator(_check_alert_template)]
Share = Annotated[float, BeforeValidator(parse_share), Field(gt=0, le=1)]
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=1 << 16)]
Rate = Annotated[float, Field(gt=0, le=MAX_RATE)]
Limits = Annotated[dict[str, Rate], BeforeValidator(parse_limits)]
MaxAge = Annotated[dict[str, PositiveSeconds], BeforeValidator(parse_max_age)]
SharedIds = Annotated[
    frozenset[str], AfterValidator(lambda ids: frozenset(one.casefold() for one in ids))
]
HookUrl = Annotated[str, AfterValidator(_check_hook_url)]
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
HostNames = Annotated[frozenset[str], BeforeValidator(parse_host_names)]
RedisUrl = Annotated[str, AfterValidator(_check_redis_url)]
AccountName = Annotated[str, AfterValidator(check_account_name)]
WriteKeys = Annotated[tuple[WriteKey, ...], BeforeValidator(parse_write_keys)]
WholeHours = Annotated[int, BeforeValidator(parse_whole_hours), Field(ge=1, le=100_000)]
