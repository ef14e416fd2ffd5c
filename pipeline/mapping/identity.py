"""Who an event is about, in Sailthru's words."""

from __future__ import annotations

from typing import Any

from pipeline.errors import MappingRejected, Reason
from pipeline.events.emails import EMAILS_A_DAY, address, email_in_user_id, first_usable
from pipeline.events.kinds import kind_of
from pipeline.events.models import Alias, Event
from pipeline.mapping.options import strict_option
from pipeline.mapping.plan import LastIdentify, Need, PlanContext, WaitForEmail
from pipeline.mapping.values import reject
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from pipeline.text import is_email

USER_KEYS = frozenset({"sid", "email", "extid", "cookie", "sms", "fb", "twitter"})


def user_id(event: Event, context: PlanContext, settings: AccountSettings) -> str | None:
    """The event's userId unless it is a shared id, else the one learned for its anonymousId, or None."""
    if event.user_id and event.user_id.casefold() not in settings.shared_ids:
        return event.user_id
    return context.user_id if event.anonymous_id else None


def anonymous_id(event: Event, settings: AccountSettings) -> str | None:
    """The event's anonymousId; None when it has none or it is a shared id."""
    anonymous = event.anonymous_id
    return anonymous if anonymous and anonymous.casefold() not in settings.shared_ids else None


def extid(event: Event, context: PlanContext, settings: AccountSettings) -> str | None:
    """The userId, else the anonymousId (reference: document 001, Identify), or the extid of the profile
    that the latest identify of this anonymousId went to."""
    last = _last_identify(event, context, settings)
    if last is not None and last.key == "extid":
        return last.id
    return user_id(event, context, settings) or anonymous_id(event, settings)


def user_key(event: Event, context: PlanContext, settings: AccountSettings) -> dict[str, str]:
    """`id` and `key` of the user: by extid, or by email when there is nothing else, or when the latest
    identify of this anonymousId was addressed so.

    `key` is always sent: Sailthru's documents disagree about its default.

    Raises:
        MappingRejected: missing_user_id, when all its ids are shared ids and it has no email.
    """
    last = _last_identify(event, context, settings)
    if last is not None:
        return {"id": last.id, "key": last.key}
    found = extid(event, context, settings)
    if found:
        return {"id": found, "key": "extid"}
    own = address(event, kind_of(event, settings), context.refused)
    if own:
        return {"id": own, "key": "email"}
    why = why_shared(event, settings)
    raise MappingRejected(
        Reason.MISSING_USER_ID, f"all its ids are shared ids, and it has no email: {why}"
    )


def why_shared(event: Event, settings: AccountSettings) -> str:
    """Which of its ids count as shared by several people, and why, for a dead letter. Quotes no id."""
    previous = event.previous_id if isinstance(event, Alias) else None
    ids = {
        "userId": event.user_id,
        "anonymousId": event.anonymous_id,
        "previousId": previous,
    }
    listed = {name for name, value in ids.items() if value and _is_listed(value, settings)}
    listed |= {name for name, value in event.left_out.items() if _is_listed(value, settings)}
    said = [f"{name} is one of SHARED_IDS" for name in sorted(listed)]
    many = sorted(event.left_out.keys() - listed)
    return "; ".join(
        said + [f"{name} came with more than {EMAILS_A_DAY} emails in a day" for name in many]
    )


def _is_listed(name: str, settings: AccountSettings) -> bool:
    return name.casefold() in settings.shared_ids


def addressee(event: Event, context: PlanContext, settings: AccountSettings) -> dict[str, Any]:
    """`id` and `key` as the integrations object says, else as the event's own ids do.

    Either is required where it is given: without it the event would go to another user.
    """
    if not event.integrations:
        return dict(user_key(event, context, settings))
    id_path, chosen = strict_option(event, "id")
    path, key = strict_option(event, "key")
    if key is not None and key not in USER_KEYS:
        reject(path, f"must be one of {', '.join(sorted(USER_KEYS))}")
    if chosen is not None and "\ufffd" in chosen:
        reject(id_path, "has a broken character: it may be another user's")
    if chosen is None and key is None:
        return dict(user_key(event, context, settings))
    if chosen is None:
        own = {
            "extid": extid(event, context, settings),
            "email": find_email(event, context, settings) or context.email,
        }
        chosen = own.get(key or "")
    elif key is None and is_email(chosen):
        key = "email"
    if chosen is None or key is None:
        reject("integrations.Sailthru", "needs both id and key, or an email as id")
    return {"id": chosen, "key": key}


def look_up(name: str, *fields: str, key: str = "extid") -> Call:
    """GET /user by extid, or another key, asking for `fields`."""
    params: dict[str, Any] = {"id": name, "key": key, "fields": dict.fromkeys(fields, 1)}
    return Call("GET", "/user", params)


def find_email(event: Event, context: PlanContext, settings: AccountSettings) -> str | None:
    """From the event, else learned, else the userId that is one, else looked up (reference: document
    001, Order Completed). An address that Sailthru refused falls through to the next, and what only a
    page showed of a person comes last: until the profile has been looked up there is none."""
    own = address(event, kind_of(event, settings), context.refused)
    as_id = email_in_user_id(user_id(event, context, settings))
    looked_up = context.profile.email if context.profile else None
    if context.email_by_page:
        learned = context.email if context.profile else None
        return own or first_usable((as_id, looked_up, learned), context.refused)
    return own or first_usable((context.email, as_id, looked_up), context.refused)


def _last_identify(
    event: Event, context: PlanContext, settings: AccountSettings
) -> LastIdentify | None:
    """Where the latest identify of this visitor went; None for an event of a user."""
    is_visitor = user_id(event, context, settings) is None and anonymous_id(event, settings)
    return context.last_identify if is_visitor else None


def ask_for_email(
    event: Event, context: PlanContext, settings: AccountSettings, covers: int = 1
) -> Need | WaitForEmail:
    """What to do about an email that `find_email` did not find."""
    found = extid(event, context, settings)
    if found is None or context.profile is not None:
        return WaitForEmail(covers)
    return Need("email", look_up(found, "keys"), covers)
