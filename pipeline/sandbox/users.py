"""GET, POST and DELETE /user (reference: sailthru-api 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.sandbox.params import email, flag, mapping, user_key, user_vars
from pipeline.sandbox.profiles import KEYS, OPTOUTS, Profile
from pipeline.sandbox.replies import OTHER, ApiError, invalid, rfc2822, user_not_found
from pipeline.sandbox.state import Moment

_DEFAULT_FIELDS = ("keys", "vars", "lists", "engagement", "optout_email")


def get_user(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Show a profile as it was `lag_s` ago."""
    key, value = user_key(params)
    profile = moment.state.profiles.find(key, value, as_of=moment.as_of)
    if profile is None:
        raise user_not_found(key, value)
    wanted = [name for name, on in mapping(params, "fields").items() if flag(on)]
    return show(profile, wanted or _DEFAULT_FIELDS, moment)


def post_user(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Create or change a profile; all of it or nothing."""
    key, value = user_key(params)
    profiles = moment.state.profiles
    profile = profiles.find(key, value)
    if profile is None:
        if key == "sid":
            raise user_not_found(key, value)
        profile = profiles.new(moment.now)
        profile = replace(profile, keys={**profile.keys, key: value})
    attributes = _checked_attributes(params)
    merged, absorbed = _with_keys(profile, {key: value, **_new_keys(params)}, params, moment)
    changed = _apply(merged, attributes, moment.now)
    for other in absorbed:
        moment.remove(other)
    moment.save(changed)
    shown = [name for name, on in mapping(params, "fields").items() if flag(on)]
    return {"ok": True, **show(changed, shown, moment)}


def delete_user(params: Mapping[str, Any], moment: Moment) -> dict[str, Any]:
    """Forget a profile."""
    key, value = user_key(params)
    profile = moment.state.profiles.find(key, value)
    if profile is None:
        raise user_not_found(key, value)
    moment.remove(profile)
    return {"ok": True}


def show(profile: Profile, wanted: tuple[str, ...] | list[str], moment: Moment) -> dict[str, Any]:
    """The asked-for blocks of a profile; a cart that isn't there is left out."""
    blocks: dict[str, Any] = {
        "keys": dict(profile.keys),
        # PHP writes an empty map as a list.
        "vars": dict(profile.vars) or [],
        "lists": {name: rfc2822(at) for name, at in profile.lists.items()} or [],
        "engagement": "new",
        "optout_email": profile.optout,
    }
    if profile.cart is not None:
        blocks["purchase_incomplete"] = dict(profile.cart.shown)
    if "purchases" in wanted:
        orders = (moment.state.order("sid", order_id) for order_id in profile.purchases)
        blocks["purchases"] = [order.shown for order in orders if order is not None]
    return {name: blocks[name] for name in wanted if name in blocks}


def _checked_attributes(params: Mapping[str, Any]) -> dict[str, Any]:
    optout = params.get("optout_email")
    if optout is not None and optout not in OPTOUTS:
        raise invalid(f"optout_email must be one of {', '.join(OPTOUTS)}")
    return {
        "vars": user_vars(params),
        "lists": mapping(params, "lists"),
        "optout": optout,
    }


def _apply(profile: Profile, attributes: Mapping[str, Any], now: float) -> Profile:
    """Vars are set by name, not merged deeply; lists are joined (1) or left (0)."""
    lists = dict(profile.lists)
    for name, joined in attributes["lists"].items():
        if flag(joined):
            lists.setdefault(name, now)
        else:
            lists.pop(name, None)
    return replace(
        profile,
        vars={**profile.vars, **attributes["vars"]},
        lists=lists,
        optout=attributes["optout"] or profile.optout,
    )


def _with_keys(
    profile: Profile, wanted: Mapping[str, str], params: Mapping[str, Any], moment: Moment
) -> tuple[Profile, list[Profile]]:
    """Give `profile` the wanted keys, merging it with the profiles that have them. Returns the
    absorbed profiles, too.

    The survivor of a merge is the profile that had the new key. Without `keysconflict` (what
    Sailthru does then is undocumented) a clash is refused, so that callers must say what they mean.
    """
    absorbed: list[Profile] = []
    for key, value in wanted.items():
        owner = moment.state.profiles.find(key, value)
        if owner is None or owner.sid in {profile.sid, *(gone.sid for gone in absorbed)}:
            continue
        if params.get("keysconflict") != "merge":
            raise ApiError(409, OTHER, f"Another user has this {key}")
        absorbed.append(profile)
        profile = owner.merged_with(profile)
    return replace(profile, keys={**profile.keys, **wanted}), absorbed


def _new_keys(params: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in mapping(params, "keys").items():
        if key not in KEYS or key == "sid":
            raise invalid(f"Cannot set key {key}")
        if value is not None:
            found[key] = email(str(value)) if key == "email" else str(value)
    return found
