"""Product Added, Product Removed -> a new whole cart, POST /purchase with `incomplete: 1`.

Sailthru has no "add": a cart is read, changed and written back whole (reference: sailthru-api 2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pipeline.errors import MappingRejected, Reason
from pipeline.events.kinds import Kind, kind_of
from pipeline.events.models import Event, Track
from pipeline.fields import Note, Notes
from pipeline.mapping.flatten import keys_named
from pipeline.mapping.identity import (
    anonymous_id,
    ask_for_email,
    extid,
    find_email,
    look_up,
    user_id,
)
from pipeline.mapping.items import (
    IDS,
    item_id,
    item_quantity,
    newest_fields,
    purchase_item,
    reading_of,
)
from pipeline.mapping.numbers import number
from pipeline.mapping.options import find_option, sailthru_bid
from pipeline.mapping.passed import OF_CART, passed_on
from pipeline.mapping.plan import Cart, CartIntent, Item, Need, Plan, PlanContext, Send
from pipeline.mapping.values import reject, text
from pipeline.reminders import parse_reminder_time
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings

NOTHING_TO_REMOVE = "Nothing to remove from Incomplete Cart for this user."
"""Segment's own words (reference: document 001)."""

_HOUR_S = 3600.0
_MAX_HOURS = 100_000
_WHERE = "properties"
_NOT_VARS = frozenset(
    {"cartid", "email", "sailthrubid", "remindertemplate", "remindertime"}
    | {"clearincompletecartafternhours"}
)
"""In any spelling."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One event, checked as far as that goes without the cart it changes. Without a userId it is a visitor's."""

    event: Track
    adds: bool
    user_id: str | None
    item_id: str
    quantity: int
    envelope: dict[str, Any]
    not_vars: frozenset[str]
    clear_after_s: float | None
    notes: tuple[Note, ...]

    @property
    def shared(self) -> tuple[object, ...]:
        """What changes have in common that can be one POST, besides the address it goes to."""
        return self.user_id, self.event.anonymous_id, self.envelope, self.clear_after_s


def plan_cart(events: Sequence[Event], context: PlanContext, settings: AccountSettings) -> Plan:
    """One GET and one POST for all adjacent changes that one POST can carry.

    Raises:
        MappingRejected: for the first event: unmappable, missing_user_id, nothing_to_remove.
    """
    changes, email = _run(events, context, settings)
    first = changes[0]
    if context.cart is None and context.profile is None:
        return Need("cart", _where_it_is(first, email, context, settings), len(changes))
    base = _base(context, first.clear_after_s)
    items, covers, notes = _apply(changes, base, settings)
    if email is None:
        if first.user_id is None:
            _refuse_visitor("and no email of its anonymousId is known")
        return ask_for_email(first.event, context, settings, covers)
    params = {"email": email, "items": [dict(item) for item in items], "incomplete": 1}
    # An empty cart needs no reminder. Clearing it cancels one that is pending.
    params |= first.envelope if items else {}
    return Send(
        Call("POST", "/purchase", params),
        covers,
        intent=CartIntent(base),
        cart_after=Cart(items, context.now, None if first.user_id else email),
        notes=notes,
    )


def _where_it_is(
    change: _Change, email: str | None, context: PlanContext, settings: AccountSettings
) -> Call:
    """The look-up of the cart: by the user's extid, which is theirs for good; of a visitor by the email by
    which it is written, once that is known."""
    name, key = change.user_id or extid(change.event, context, settings) or "", "extid"
    if change.user_id is None and email is not None:
        name, key = email, "email"
    return look_up(name, "keys", "purchase_incomplete", key=key)


def _refuse_visitor(why: str) -> NoReturn:
    raise MappingRejected(Reason.MISSING_USER_ID, f"a cart change needs a userId, {why}")


def _run(
    events: Sequence[Event], context: PlanContext, settings: AccountSettings
) -> tuple[list[_Change], str | None]:
    """The changes that fold with the first one, and the email they are for.

    Once Sailthru was asked and has no email either, an absent one may be any that another shows.
    """
    changes = [_change(events[0], context, settings)]
    email = find_email(events[0], context, settings)
    for event in events[1:]:
        try:
            change = _change(event, context, settings)
        except MappingRejected:
            break
        own = find_email(event, context, settings)
        same = own == email or (context.profile is not None and None in (own, email))
        if not same or change.shared != changes[0].shared:
            break
        email = email or own
        changes.append(change)
    return changes, email


def _change(event: Event, context: PlanContext, settings: AccountSettings) -> _Change:
    kind = kind_of(event, settings)
    if not isinstance(event, Track) or kind not in {Kind.CART_ADD, Kind.CART_REMOVE}:
        reject("type", "is not a cart change")
    user = user_id(event, context, settings) or context.user_id
    if user is None and (settings.cart_users == "known" or not anonymous_id(event, settings)):
        _refuse_visitor("or CART_USERS=any and an anonymousId whose email is known")
    notes = Notes()
    passed, used = passed_on(event, OF_CART, notes)
    return _Change(
        event=event,
        adds=kind is Kind.CART_ADD,
        user_id=user,
        item_id=item_id(event.properties, _WHERE, IDS[settings.cart_item_id]),
        quantity=item_quantity(event.properties, _WHERE),
        envelope=_envelope(event, settings, notes) | passed,
        not_vars=used | keys_named(event.properties, _NOT_VARS),
        clear_after_s=_clear_after_s(event, settings, notes),
        notes=tuple(notes),
    )


def _base(context: PlanContext, clear_after_s: float | None) -> tuple[Item, ...]:
    """The cart to change: ours while it is authoritative, else Sailthru's unless that is stale."""
    if context.cart is not None:
        cart = context.cart
    elif context.profile is not None and context.profile.cart is not None:
        cart = context.profile.cart
        if _is_overwritten(cart, context.cart_written_at):
            return ()
    else:
        return ()
    age_s = 0.0 if cart.at is None else context.now - cart.at
    return () if clear_after_s is not None and age_s > clear_after_s else cart.items


def _is_overwritten(cart: Cart, written_at: float | None) -> bool:
    """Whether this is the cart from before our last write: a lagging read, or what was bought.

    Sailthru's times have whole seconds, so our own write may look up to a second older.
    """
    return written_at is not None and (cart.at is None or cart.at < int(written_at))


def _apply(
    changes: Sequence[_Change], base: tuple[Item, ...], settings: AccountSettings
) -> tuple[tuple[Item, ...], int, tuple[Note, ...]]:
    """The cart after as many changes as are acceptable one after the other, their number and notes.

    Raises:
        MappingRejected: when not even the first one is.
    """
    items = base
    noted: tuple[Note, ...] = ()
    for done, change in enumerate(changes):
        notes = Notes()
        try:
            items = _add(change, items, settings, notes) if change.adds else _remove(change, items)
        except MappingRejected:
            if done == 0:
                raise
            return items, done, noted
        noted = (*noted, *change.notes, *notes)
    return items, len(changes), noted


def _add(
    change: _Change, items: tuple[Item, ...], settings: AccountSettings, notes: Notes
) -> tuple[Item, ...]:
    """By the event's quantity, where Segment says "by one" and means it. An item that is there takes what
    the event says of it: a price may have changed, and with CART_ITEM_ID=product_id so may the variant.
    """
    given = change.event.properties
    reading = reading_of(change.event, settings, notes, IDS[settings.cart_item_id])
    if not any(item["id"] == change.item_id for item in items):
        return (*items, purchase_item(given, _WHERE, reading, change.not_vars))
    newest = newest_fields(given, _WHERE, reading, change.not_vars)
    more = _with_quantity(change.item_id, change.quantity, items)
    return tuple({**one, **newest} if one["id"] == change.item_id else one for one in more)


def _remove(change: _Change, items: tuple[Item, ...]) -> tuple[Item, ...]:
    if not any(item["id"] == change.item_id for item in items):
        raise MappingRejected(Reason.NOTHING_TO_REMOVE, NOTHING_TO_REMOVE)
    return _with_quantity(change.item_id, -change.quantity, items)


def _with_quantity(wanted: str, change: int, items: tuple[Item, ...]) -> tuple[Item, ...]:
    changed = ({**one, "qty": one["qty"] + change} if one["id"] == wanted else one for one in items)
    return tuple(one for one in changed if one["qty"] > 0)


def _envelope(event: Track, settings: AccountSettings, notes: Notes) -> dict[str, str]:
    """What goes into the POST beside the cart itself."""
    envelope = {**_reminder(event, settings, notes), "message_id": sailthru_bid(event, notes)}
    return {name: value for name, value in envelope.items() if value}


def _reminder(event: Track, settings: AccountSettings, notes: Notes) -> dict[str, str]:
    """Template and time, both or neither. What an event leaves out the settings complete."""
    template_path, template = find_option(event, "reminder_template", text, notes, or_property=True)
    when_path, when = find_option(event, "reminder_time", _reminder_time, notes, or_property=True)
    template, when = template or settings.reminder_template, when or settings.reminder_time
    if template and when:
        return {"reminder_template": template, "reminder_time": parse_reminder_time(when)}
    if template_path:
        notes.add(template_path, "needs a reminder_time, too")
    if when_path:
        notes.add(when_path, "needs a reminder_template, too")
    return {}


def _reminder_time(value: object, where: str) -> str | None:
    given = text(value, where)
    try:
        return None if given is None else parse_reminder_time(given)
    except ValueError:
        reject(where, "must be like 60 minutes, 24 hours or 2 weeks")


def _clear_after_s(event: Track, settings: AccountSettings, notes: Notes) -> float | None:
    """Hours of the option or property, a fraction cut off (reference: segment 2.1), else the setting."""
    name = "clear_incomplete_cart_after_n_hours"
    _, given = find_option(event, name, _hours, notes, or_property=True)
    hours = settings.clear_cart_after_hours if given is None else given
    return None if hours is None else hours * _HOUR_S


def _hours(value: object, where: str) -> int:
    amount = number(value, where)
    if not 1 <= amount <= _MAX_HOURS:
        reject(where, f"must be from 1 to {_MAX_HOURS}")
    return int(amount)
