"""What an identify or Subscribed of a `browser` key may change of a profile: its keys, and the lists it is on. Pure.

Any visitor may say that any user has any email. So an email becomes a key only of a profile that has none, and only if
no other profile has it: both are looked up, once for each email that a user shows.
"""

from __future__ import annotations

from enum import Enum, auto

from pipeline.events.emails import first_usable
from pipeline.mapping.plan import PlanContext
from pipeline.mapping.values import reject
from pipeline.settings import AccountSettings


class Giving(Enum):
    """Whether an email may be given to a profile as its key."""

    YES = auto()
    HAS_IT = auto()
    """It was seen to before, or the profile has it."""
    NO = auto()
    """The profile has another, or another profile has this one."""
    ASK_PROFILE = auto()
    ASK_OWNER = auto()


def may_give(email: str, extid: str, context: PlanContext) -> Giving:
    """Whether the profile `extid` may be given this email, or what must be looked up to know."""
    name, last = email.lower(), context.last_identify
    known = first_usable([context.email], context.refused)
    if known and known.lower() != name:
        return Giving.NO
    if last is not None and last.email == name:
        return Giving.HAS_IT
    if context.profile is None:
        return Giving.ASK_PROFILE
    if context.profile.email:
        return Giving.HAS_IT if context.profile.email.lower() == name else Giving.NO
    owner = context.owner
    if owner is None or owner.email != name:
        return Giving.ASK_OWNER
    if owner.extid == extid:
        return Giving.HAS_IT
    return Giving.NO if owner.learned or owner.exists else Giving.YES


def check_list(name: str, settings: AccountSettings) -> None:
    """Raises MappingRejected: unmappable, when a page may not add its visitors to this list."""
    if name != settings.default_list and name not in settings.browser_lists:
        reject("properties.list", "is neither DEFAULT_LIST nor one of BROWSER_LISTS")
