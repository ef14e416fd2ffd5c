"""The lane `user`: identify, alias, Subscribed, User Deleted -> /user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.errors import MappingRejected, Reason
from pipeline.events.emails import address, email_in_user_id, first_usable, shown_email
from pipeline.events.integrations import OPTOUT_LEVELS
from pipeline.events.kinds import IgnoreReason, Kind, kind_of
from pipeline.events.models import Alias, Event, OptOut
from pipeline.fields import Note, Notes
from pipeline.mapping.flatten import flat_vars
from pipeline.mapping.identity import (
    addressee,
    anonymous_id,
    look_up,
    user_id,
    user_key,
    why_shared,
)
from pipeline.mapping.options import find_option, is_emptied, strict_option, text_option
from pipeline.mapping.plan import Ignored, LastIdentify, Need, Owner, Plan, PlanContext, Send
from pipeline.mapping.restricted import Giving, check_list, may_give
from pipeline.mapping.values import elements, field, reject, switch, text, unpacked, whole_object
from pipeline.roles import Role
from pipeline.sailthru.calls import Call
from pipeline.settings import AccountSettings
from pipeline.text import read_email


@dataclass(frozen=True, slots=True)
class _Update:
    """One POST /user. `email` becomes a key of the profile.

    anonymous_id: whose profile is to be merged into the user's.
    ask_owner: an email: whose profile has it must be known before the call is made.
    ask_profile: an extid: its profile must be.
    on_conflict: what Sailthru is to do when another profile has the email.
    """

    key: dict[str, str]
    anonymous_id: str | None
    email: str | None
    lists: dict[str, int]
    optout: str | None
    login: dict[str, Any]
    values: dict[str, Any]
    notes: tuple[Note, ...]
    ask_owner: str | None = None
    ask_profile: str | None = None
    last_identify: LastIdentify | None = None
    on_conflict: str = "merge"

    def takes(self, later: _Update) -> bool:
        """Whether `later` only adds vars.

        It may repeat the email, lists and opt-out or leave them out. It may not bring them: an
        email can merge another profile in, and one call does that before its vars where two calls
        do it after the first one's.
        """
        return (
            (later.key, later.anonymous_id) == (self.key, self.anonymous_id)
            and (
                later.email is None
                or (later.email, later.on_conflict) == (self.email, self.on_conflict)
            )
            and later.lists in ({}, self.lists)
            and later.optout in (None, self.optout)
            and later.login in ({}, self.login)
        )

    @property
    def needs(self) -> tuple[Literal["email", "owner"], Call] | None:
        """The look-up without which the call cannot be made."""
        if self.ask_profile:
            return "email", look_up(self.ask_profile, "keys")
        if self.ask_owner:
            return "owner", look_up(self.ask_owner, "keys", key="email")
        return None

    def params(self) -> dict[str, Any]:
        by_extid = self.key["key"] == "extid"
        keys = {"email": self.email} if self.email and by_extid else None
        parts = {
            "keys": keys,
            "keysconflict": self.on_conflict if self.email else None,
            "lists": self.lists,
            "optout_email": self.optout,
            "login": self.login,
            "vars": self.values,
        }
        return self.key | {name: value for name, value in parts.items() if value}


def plan_identify(events: Sequence[Event], context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /user; adjacent identifies that only add vars are one call.

    With both ids the anonymous profile is looked up once and merged (reference: sailthru-api 2.1).
    With an email and no userId the profile of the email is looked up: no anonymousId replaces an extid.
    """
    update, covers = _fold(events, context, settings)
    if update.needs:
        return Need(*update.needs, covers)
    anonymous = update.anonymous_id
    if anonymous is None or anonymous in context.merged:
        call = Call("POST", "/user", update.params())
        return Send(call, covers, last_identify=update.last_identify, notes=update.notes)
    if context.merge is None:
        return Need("merge", look_up(anonymous, "keys"), covers)
    params = update.params()
    if context.merge.exists:
        params = _merge_into(anonymous, update.key["id"], params)
    return Send(Call("POST", "/user", params), covers, merged=anonymous, notes=update.notes)


def plan_alias(event: Alias, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /user that renames the profile of `previousId`, if there is one, to `userId`."""
    user = user_id(event, context, settings)
    previous = event.previous_id
    if user is None or previous is None or previous.casefold() in settings.shared_ids:
        why = why_shared(event, settings)
        raise MappingRejected(Reason.MISSING_USER_ID, f"userId or previousId is a shared id: {why}")
    if previous == user or previous in context.merged:
        return Ignored(IgnoreReason.ALREADY_MERGED)
    if context.merge is None:
        return Need("merge", look_up(previous, "keys"))
    if not context.merge.exists:
        return Ignored(IgnoreReason.NOTHING_TO_MERGE)
    return Send(Call("POST", "/user", _merge_into(previous, user, {})), merged=previous)


def plan_subscribed(event: Event, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /user that adds to `properties.list`, else to the option defaultListName, and lifts the opt-out:
    the person asked for mail. One of a page lifts none, and names a list that pages may.

    As Sailthru's newer destination does (reference: segment 2.1).
    """
    update = _update(event, context, settings, with_vars=False)
    if 1 not in update.lists.values():
        reject("properties.list", "is missing, and the option defaultListName cannot be read")
    asked = replace(update, optout=_optout(event, "none"))
    if asked.needs:
        return Need(*asked.needs)
    call = Call("POST", "/user", asked.params())
    return Send(call, last_identify=asked.last_identify, notes=asked.notes)


def plan_optout(event: OptOut, context: PlanContext, settings: AccountSettings) -> Plan:
    """POST /user with the opt-out alone, for the user whom the event itself is addressed to.

    Raises:
        MappingRejected: missing_user_id; unmappable, when it is no level.
    """
    level = _optout(event, None)
    if level is None:
        reject("integrations.Sailthru.optoutValue", "is missing")
    params = addressee(event, context, settings)
    return Send(Call("POST", "/user", params | {"optout_email": level}))


def plan_deletion(event: Event, context: PlanContext, settings: AccountSettings) -> Plan:
    """DELETE /user, by the only documented key: the email, which may stand in `userId` or
    `properties.userId`."""
    _, named = field(event.properties, ("user_id",))
    in_user_id = email_in_user_id(event.user_id) or read_email(named)
    email = in_user_id or address(event, kind_of(event, settings)) or context.email
    if email is None:
        raise MappingRejected(
            Reason.MISSING_EMAIL, "User Deleted needs an email in userId or traits"
        )
    return Send(Call("DELETE", "/user", {"id": email, "key": "email"}))


def _fold(
    events: Sequence[Event], context: PlanContext, settings: AccountSettings
) -> tuple[_Update, int]:
    update = _update(events[0], context, settings)
    covers = 1
    for event in events[1:]:
        try:
            later = _update(event, context, settings) if event.kind is Kind.IDENTIFY else None
        except MappingRejected:
            break
        if later is None or not update.takes(later):
            break
        values, notes = update.values | later.values, update.notes + later.notes
        update = replace(update, values=values, notes=notes)
        covers += 1
    return update, covers


def _update(
    event: Event, context: PlanContext, settings: AccountSettings, *, with_vars: bool = True
) -> _Update:
    notes = Notes()
    traits = event.traits if with_vars else {}
    user = user_id(event, context, settings)
    anonymous = anonymous_id(event, settings)
    kind = kind_of(event, settings)
    _, login = find_option(event, "login", whole_object, notes, or_property=True)
    shown = shown_email(event, kind, context.refused)
    is_restricted = event.role is Role.BROWSER
    update = _Update(
        key=user_key(event, context, settings),
        anonymous_id=anonymous if _is_merged(event, user, anonymous, settings) else None,
        email=_email_of_user(event, shown, user, context) if user else shown,
        on_conflict="error" if is_restricted else settings.keysconflict,
        lists=_lists(event, kind, settings, notes),
        login=login or {},
        optout=_optout(event, settings.optout),
        values=flat_vars(traits, settings, "traits", notes, skip=frozenset({"email"})),
        notes=tuple(notes),
    )
    if is_restricted:
        return _of_page(update, user, anonymous, context)
    if user is None and anonymous is not None and shown is not None:
        return _of_visitor(update, anonymous, shown, context, settings)
    return update


def _is_merged(
    event: Event, user: str | None, anonymous: str | None, settings: AccountSettings
) -> bool:
    """Whether the visitor's profile belongs into the user's. Only an event that names both ids says that
    they are one person's; the classic destination merged none, and the word of a page merges none."""
    if settings.mapping == "classic" or event.role is Role.BROWSER:
        return False
    return user is not None and user == event.user_id != anonymous


def _email_of_user(event: Event, shown: str | None, user: str, context: PlanContext) -> str | None:
    """The email to give a user's profile: the one shown, else the userId that is one.

    Only an event that names the user itself and shows an email gives another than the one we know.
    """
    is_named = user == event.user_id
    if is_named and shown:
        return shown
    as_id = first_usable([email_in_user_id(user)], context.refused)
    email = as_id if is_named else shown
    is_another = email and context.email and email.lower() != context.email.lower()
    return None if is_another else email


def _of_page(
    update: _Update, user: str | None, anonymous: str | None, context: PlanContext
) -> _Update:
    """As a `browser` key may have it: see `pipeline.mapping.restricted`. A user's update goes out without an email that
    may not be given; a visitor's goes to the profile of the email, if there is one for now or not."""
    extid, email = user or anonymous, update.email
    if extid is None or email is None:
        return update
    name = email.lower()
    as_own = replace(update, last_identify=LastIdentify(name, "extid", extid))
    if user is None:
        as_own = replace(as_own, key={"id": extid, "key": "extid"})
    match may_give(email, extid, context):
        case Giving.ASK_PROFILE:
            return replace(as_own, ask_profile=extid)
        case Giving.ASK_OWNER:
            return replace(as_own, ask_owner=email)
        case Giving.YES:
            return as_own
        case Giving.HAS_IT:
            last = context.last_identify
            is_seen_to = last is not None and last.email == name
            found = replace(update, last_identify=last) if is_seen_to else as_own
            return replace(found, email=None)
        case Giving.NO if user is None:
            last = LastIdentify(name, "email", name)
            return replace(update, key={"id": email, "key": "email"}, last_identify=last)
        case Giving.NO:
            note = Note("email", "becomes no key of the profile: it has another, or another has it")
            return replace(as_own, email=None, notes=(*update.notes, note))


def _of_visitor(
    update: _Update, anonymous: str, email: str, context: PlanContext, settings: AccountSettings
) -> _Update:
    """An email without a userId: a profile with another extid is addressed by it and keeps its keys."""
    name, owner = email.lower(), context.owner
    as_visitor = replace(update, key={"id": anonymous, "key": "extid"})
    if owner is None or owner.email != name:
        return replace(as_visitor, ask_owner=email)
    if owner.learned or owner.extid not in (None, anonymous):
        last = _last_elsewhere(owner, settings)
        return replace(update, key={"id": email, "key": "email"}, last_identify=last)
    # A profile that has both keys already needs neither again.
    given = None if owner.extid == anonymous else email
    last = LastIdentify(name, "extid", anonymous)
    return replace(as_visitor, email=given, last_identify=last)


def _last_elsewhere(owner: Owner, settings: AccountSettings) -> LastIdentify:
    """What is remembered of an identify that went to the profile of another extid."""
    extid = None if owner.learned else owner.extid
    if extid is None or extid.casefold() in settings.shared_ids:
        return LastIdentify(owner.email, "email", owner.email)
    return LastIdentify(owner.email, "extid", extid)


def _lists(event: Event, kind: Kind, settings: AccountSettings, notes: Notes) -> dict[str, int]:
    """Lists to join (1) and to leave (0). One is the event's own, else DEFAULT_LIST, unless the event says
    that it is none; a subscription is to its own alone."""
    _, others = find_option(event, "lists", _memberships, notes, or_property=True)
    name = text_option(event, "default_list_name", notes)
    if kind is Kind.SUBSCRIBED:
        name = text(event.properties.get("list"), "properties.list") or name
        if name and event.role is Role.BROWSER:
            check_list(name, settings)
        return (others or {}) | ({name: 1} if name else {})
    if name is None and not is_emptied(event, "default_list_name"):
        name = settings.default_list
    return ({name: 1} if name else {}) | (others or {})


def _memberships(value: object, where: str) -> dict[str, int]:
    """Lists to join (1) and to leave (0), as an object, or only names to join."""
    value = unpacked(value)
    if isinstance(value, Mapping):
        given = ((text(name, where), switch(on, f"{where}.{name}")) for name, on in value.items())
        return {name: int(on) for name, on in given if name}
    names = [text(one, place) for place, one in elements(value, where)]
    return {name: 1 for name in names if name}


def _optout(event: Event, otherwise: str | None) -> str | None:
    """The opt-out to send.

    It is required where it is given. What a user said about their mail must not be passed over, and
    which of the levels they meant would be a guess. A page sets and lifts none.
    """
    if event.role is Role.BROWSER:
        return None
    path, level = strict_option(event, "optout_value")
    if level is None:
        return otherwise
    if level.casefold() not in OPTOUT_LEVELS:
        reject(path, "must be none, basic, blast or all")
    return level.casefold()


def _merge_into(old: str, new: str, params: dict[str, Any]) -> dict[str, Any]:
    """The POST that gives the profile `old` the extid `new`; a clash is what we want merged."""
    keys = {"extid": new} | params.get("keys", {})
    return params | {"id": old, "key": "extid", "keys": keys, "keysconflict": "merge"}
