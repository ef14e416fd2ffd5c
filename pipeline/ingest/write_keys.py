"""Which account a request speaks for, and in which role. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import NamedTuple

from pipeline.ingest.answers import HttpError
from pipeline.roles import WriteKey
from pipeline.settings import Settings


class Grant(NamedTuple):
    """What a write key, or the secret of a webhook, lets its requests do: for which account, with what rights, how fast."""

    account: str
    key: WriteKey


def grants(settings: Settings) -> dict[str, Grant]:
    """Write key -> what it grants. `load_settings` has given keys to accounts of the sandbox."""
    accounts = settings.accounts.items()
    return {one.key: Grant(name, one) for name, account in accounts for one in account.write_keys}


def webhook_grants(settings: Settings) -> dict[str, Grant]:
    """Shared secret of a webhook -> what it grants."""
    accounts = settings.accounts.items()
    return {
        one.key: Grant(name, one) for name, account in accounts for one in account.webhook_secrets
    }


def choose_grant(grants: Mapping[str, Grant], authorization: str | None, body_key: object) -> Grant:
    """The grant of a request; the key in the header wins over the one in the body.

    Args:
        grants: as `grants` gives them.
        authorization: the header. Basic carries the key as user name; Bearer is Segment's OAuth,
            beside which the key is in the body (reference: segment 1.2).
        body_key: `writeKey` of the body, whatever it is.

    Raises:
        HttpError: 401, naming the setting.
    """
    key = _basic_user(authorization) or (body_key if isinstance(body_key, str) else None)
    return grant_of(grants, key, "No write key, neither as Basic user name nor as writeKey.")


def grant_of(grants: Mapping[str, Grant], key: str | None, missing: str) -> Grant:
    """The grant of a key. Raises HttpError: 401; `missing` is what it says without one."""
    if not grants:
        raise HttpError(
            401,
            "no_write_keys",
            "This server takes no events yet: set SAILPIPE_WRITE_KEYS to the keys producers use.",
        )
    if not key:
        raise HttpError(401, "missing_write_key", missing)
    if key not in grants:
        raise HttpError(
            401, "invalid_write_key", "This write key is not one of SAILPIPE_WRITE_KEYS."
        )
    return grants[key]


def refuse_header(grants: Mapping[str, Grant], authorization: str | None) -> None:
    """Refuse a request by its header alone, as far as that tells. Raises HttpError: 401."""
    if _basic_user(authorization):
        choose_grant(grants, authorization, None)


def _basic_user(authorization: str | None) -> str | None:
    """The user name of a Basic header; a missing colon is a tolerance Segment has."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # no base64, not even ASCII, or no UTF-8 inside
        return None
    return text.partition(":")[0].strip() or None
