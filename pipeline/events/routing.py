"""What an event says to one account: its kind, its lane or why it has none, its ids and emails.

Pure, and cannot fail.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from pipeline.errors import InvalidEvent
from pipeline.events.emails import CARRIES_KEY, NO_EMAILS, Emails, read_emails
from pipeline.events.integrations import OPTOUT_LEVELS, is_for_sailthru, read_optout
from pipeline.events.kinds import LANES, Ignored, IgnoreReason, Kind, kind_of
from pipeline.events.models import Alias, Event, Lane, NativeCall, parse_event
from pipeline.fields import is_nothing
from pipeline.roles import Role
from pipeline.settings import AccountSettings

_SAY_OPTOUT = CARRIES_KEY | {Kind.NATIVE_USER}


class Facts(NamedTuple):
    """What an event says to one account: all that is asked of it on its way to a mailbox, read once.

    way: its lane, or why it goes nowhere.
    ids: those that could name a mailbox or be linked: userId, anonymousId, and an alias's previousId.
    visitors: those of them that may lead to another: all but the userId.
    optout: the opt-out that its user is to have, '' when it cannot be told before delivery; None when it says none.
    """

    kind: Kind
    way: Lane | Ignored
    emails: Emails
    ids: tuple[str, ...]
    visitors: tuple[str, ...]
    optout: str | None = None

    @property
    def has_second(self) -> bool:
        """Whether its opt-out is a call beside its own: an identify's, a Subscribed's and that of a call of
        Sailthru's own is part of theirs."""
        return self.optout is not None and self.kind not in _SAY_OPTOUT


def read_facts(event: Event, settings: AccountSettings) -> Facts:
    """Read the facts of a valid event. Cannot fail."""
    kind = event.kind
    if kind is Kind.SUBSCRIBED or settings.mapping != "default":
        kind = kind_of(event, settings)
    user, visitor = event.user_id, event.anonymous_id
    visitors = (visitor,) if visitor else ()
    if kind is Kind.ALIAS and isinstance(event, Alias) and event.previous_id:
        visitors = (*visitors, event.previous_id)
    ids = (user, *visitors) if user else visitors
    emails = NO_EMAILS if _shows_no_email(event, ids) else read_emails(event, kind)
    optout = None
    if isinstance(event, NativeCall):
        optout = _optout_of_call(event)
    elif event.integrations or settings.optout or kind is Kind.SUBSCRIBED:
        optout = _optout(event, kind, settings)
    return Facts(kind, _way(event, kind, settings), emails, ids, visitors, optout)


def _optout(event: Event, kind: Kind, settings: AccountSettings) -> str | None:
    """As the mapping sends it. The classic destination sent that of an identify alone, who is deleted has none, and a
    key of role `browser` sets and lifts none."""
    if event.role is Role.BROWSER:
        return None
    if kind not in CARRIES_KEY and (
        kind is Kind.USER_DELETED or settings.mapping == "classic" or not event.integrations
    ):
        return None
    given = read_optout(event)
    if given is not None or kind not in CARRIES_KEY:
        return given
    return "none" if kind is Kind.SUBSCRIBED else settings.optout


def _optout_of_call(event: NativeCall) -> str | None:
    level = event.params.get("optout_email") if event.endpoint == "/user" else None
    if is_nothing(level):
        return None
    return level if isinstance(level, str) and level in OPTOUT_LEVELS else ""


def _shows_no_email(event: Event, ids: Collection[str]) -> bool:
    """Whether there is nothing to read of it: so are most events, and the ids are left to address them."""
    return not (
        "email" in event.traits
        or "email" in event.properties
        or event.context.get("traits")
        or "@" in (event.user_id or "")
        or not ids
    )


def route(event: Event, settings: AccountSettings) -> Lane | Ignored:
    """The lane of a valid event.

    Ignored, in this order: `integrations_off`, `unsupported_type` (group, as in Sailthru's newer
    destination; alias with MAPPING=classic), `user_delete_off` (ALLOW_DELETE), and for pages and screens
    `no_page_in_classic`, `screen_without_url`, `screens_off` and `pages_off` (TRACK_SCREENS, TRACK_PAGES)
    and `no_customer_id`.
    """
    return _way(event, kind_of(event, settings), settings)


def lane_by_kind(raw: bytes) -> Lane | None:
    """The lane that the kind of a raw event says, whatever its account is set to; None where it says none."""
    try:
        return LANES.get(parse_event(raw).kind)
    except InvalidEvent:
        return None


def _way(event: Event, kind: Kind, settings: AccountSettings) -> Lane | Ignored:
    reason = _why_not(event, kind, settings)
    return Ignored(reason) if reason else LANES[kind]


def _why_not(event: Event, kind: Kind, settings: AccountSettings) -> IgnoreReason | None:
    if event.integrations and not is_for_sailthru(event):
        return IgnoreReason.INTEGRATIONS_OFF
    if kind is Kind.GROUP or (kind is Kind.ALIAS and settings.mapping == "classic"):
        return IgnoreReason.UNSUPPORTED_TYPE
    if kind is Kind.USER_DELETED and not settings.allow_delete:
        return IgnoreReason.USER_DELETE_OFF
    if kind in {Kind.PAGE, Kind.SCREEN}:
        return _why_no_pageview(event, kind, settings)
    return None


def _why_no_pageview(event: Event, kind: Kind, settings: AccountSettings) -> IgnoreReason | None:
    if settings.mapping == "classic":
        return IgnoreReason.NO_PAGE_IN_CLASSIC
    # Apps name most screens and give few a url: a dead letter for each would bury the real ones.
    if kind is Kind.SCREEN and is_nothing(event.properties.get("url")) and not event.page_url:
        return IgnoreReason.SCREEN_WITHOUT_URL
    if kind is Kind.SCREEN and not settings.track_screens:
        return IgnoreReason.SCREENS_OFF
    if kind is Kind.PAGE and settings.track_pages is False:
        return IgnoreReason.PAGES_OFF
    return IgnoreReason.NO_CUSTOMER_ID if settings.customer_id is None else None
