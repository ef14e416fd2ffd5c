"""Which lane an event waits in, or why it goes nowhere. Pure, and cannot fail."""

from __future__ import annotations

from pipeline.events.integrations import is_for_sailthru
from pipeline.events.kinds import LANES, Ignored, IgnoreReason, Kind, kind_of
from pipeline.events.models import Event, Lane
from pipeline.fields import is_nothing
from pipeline.settings import AccountSettings


def route(event: Event, settings: AccountSettings) -> Lane | Ignored:
    """The lane of a valid event.

    Ignored, in this order: `integrations_off`, `unsupported_type` (group, as in Sailthru's newer
    destination; alias with MAPPING=classic), `user_delete_off` (ALLOW_DELETE), and for pages and screens
    `no_page_in_classic`, `screen_without_url`, `screens_off` and `pages_off` (TRACK_SCREENS, TRACK_PAGES)
    and `no_customer_id`.
    """
    kind = kind_of(event, settings)
    reason = _why_not(event, kind, settings)
    return Ignored(reason) if reason else LANES[kind]


def _why_not(event: Event, kind: Kind, settings: AccountSettings) -> IgnoreReason | None:
    if not is_for_sailthru(event):
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
