"""Which mailbox an event belongs in, and which ids it links."""

from __future__ import annotations

from typing import Any

import fakeredis
import pytest

from pipeline.clock import ManualClock
from pipeline.events.models import Lane, validate_event
from pipeline.events.routing import read_facts
from pipeline.identity.placement import IdentityMap, Placement, place, without_shared_ids
from pipeline.settings import AccountSettings
from pipeline.storage.numbers import DAY_MS
from tests.support.mailboxes import Mailboxes, identify, order, track

AT = 1_700_000_000_000


class Arrivals:
    """Events that arrive one after the other, each learning from those before."""

    def __init__(self) -> None:
        self.known = IdentityMap()
        self.clock = ManualClock(AT / 1000)
        self._count = 0

    def place(self, **fields: Any) -> Placement:
        self._count += 1
        event = validate_event({"type": "track", "event": "x", **fields})
        now = int(self.clock.now() * 1000)
        settings = AccountSettings()
        facts = read_facts(event, settings)
        return place(event, facts, f"{now}-{self._count}", now, self.known, settings)

    def visit(self, anonymous_id: str, email: str, **fields: Any) -> Placement:
        """An identify of a visitor who types an email."""
        traits = {"email": email}
        return self.place(type="identify", anonymousId=anonymous_id, traits=traits, **fields)


def shown(email: str) -> dict[str, Any]:
    return {"context": {"traits": {"email": email}}}


def data(email: str) -> dict[str, Any]:
    return {"properties": {"email": email}}


@pytest.mark.parametrize(
    ("fields", "mailbox"),
    [
        ({"userId": "u", "anonymousId": "a", **shown("E@x.com")}, "u"),
        ({"anonymousId": "a", **shown("E@x.com")}, "a"),
        (shown("E@x.com"), "e@x.com"),
        (data("E@x.com"), "e@x.com"),
    ],
)
def test_a_mailbox_is_named_after_the_strongest_id(fields: dict[str, Any], mailbox: str) -> None:
    """userId, else anonymousId, else the email in lower case."""
    assert Arrivals().place(**fields).user == mailbox


def test_an_anonymous_id_or_email_leads_to_the_user_id_it_came_with() -> None:
    """Once a visitor is known all that is theirs goes to one mailbox, in order."""
    arrivals = Arrivals()
    updates = arrivals.place(userId="u", anonymousId="a", **shown("E@x.com")).updates
    assert set(updates.aliases) == {("anon:a", "u"), ("email:e@x.com", "u")}
    assert arrivals.place(anonymousId="a").user == "u"
    assert arrivals.place(**shown("e@X.com")).user == "u"


@pytest.mark.parametrize("anonymous", ["a", "z", "u1", "t"])
def test_an_anonymous_id_follows_an_email_and_then_whoever_it_signs_in_as(anonymous: str) -> None:
    """Whichever of the ids sorts first."""
    arrivals = Arrivals()
    arrivals.place(userId="u", **shown("ann@x.com"))
    assert arrivals.visit(anonymous, "ann@x.com").user == "u"
    updates = arrivals.place(userId="t2", anonymousId=anonymous).updates
    assert set(updates.aliases) == {(f"anon:{anonymous}", "t2"), (f"follows:{anonymous}", "t2")}
    assert arrivals.place(anonymousId=anonymous).user == "t2"


def test_an_event_whose_ids_are_one_links_nothing() -> None:
    """Some SDKs send the userId as the anonymousId, too."""
    same = "".join(["u", "1"])
    event = {"type": "alias", "userId": "u1", "anonymousId": same, "previousId": same}
    assert Arrivals().place(**event).updates.aliases == ()


def test_a_custom_events_property_links_nothing_and_is_no_sighting() -> None:
    """Invited friends are not the inviter, whose ids stay their own, however many friends there are."""
    arrivals = Arrivals()
    arrivals.place(userId="friend", **shown("f0@x.com"))
    for n in range(9):
        placement = arrivals.place(userId="u", anonymousId="a", **data(f"f{n}@x.com"))
        assert placement.user == "u"
        assert placement.updates.emails == ()
        assert placement.updates.aliases == (("anon:a", "u"),)
    assert arrivals.known.seen.keys() == {"friend"}
    assert arrivals.place(anonymousId="b", **data("f0@x.com")).user == "b"


def test_an_orders_own_property_is_learned_but_does_not_make_the_email_the_buyers() -> None:
    """Later orders go there, too. What its owner does without a userId is not the buyer's for that."""
    arrivals = Arrivals()
    updates = arrivals.place(event="Order Completed", userId="u", **data("gift@x.com")).updates
    assert [(user, email) for user, email, *_ in updates.emails] == [("u", "gift@x.com")]
    assert updates.aliases == ()
    assert arrivals.place(**shown("gift@x.com")).user == "gift@x.com"


def test_a_user_id_that_is_an_email_owns_it_once_an_identify_says_so() -> None:
    """Its call gives the profile that email. It is no evidence against one that was learned."""
    arrivals = Arrivals()
    updates = arrivals.place(type="identify", userId="Ida@x.com").updates
    assert (updates.emails, updates.aliases) == ((), (("email:ida@x.com", "Ida@x.com"),))
    assert arrivals.visit("a", "ida@x.com").user == "Ida@x.com"


def test_an_alias_leads_the_previous_id_to_the_user() -> None:
    """What still comes under the old id goes to the new one's mailbox."""
    arrivals = Arrivals()
    arrivals.place(type="alias", previousId="old", userId="u")
    assert arrivals.place(anonymousId="old").user == "u"


def test_an_event_that_shows_an_email_links_it() -> None:
    """For its own ids, and for the userId that is known for its anonymousId."""
    arrivals = Arrivals()
    arrivals.place(userId="u", anonymousId="a")
    updates = arrivals.place(anonymousId="a", **shown("e@x.com")).updates
    assert [(user, email, has_owner) for user, email, _, has_owner in updates.emails] == [
        ("a", "e@x.com", True),
        ("u", "e@x.com", False),
    ]


@pytest.mark.parametrize("shared", ["guest", "GUEST", "undefined", "0", "null"])
def test_a_shared_id_names_and_links_nothing(shared: str) -> None:
    """A shop sends `guest` for everyone: each of them keeps their own mailbox and email."""
    arrivals = Arrivals()
    first = arrivals.place(userId=shared, **shown("e1@x.com"))
    second = arrivals.place(userId=shared, anonymousId="a", **shown("e2@x.com"))
    assert (first.user, second.user) == ("e1@x.com", "a")
    assert first.shared_ids == second.shared_ids == ("user_id",)
    assert [user for user, *_ in second.updates.emails] == ["a"]
    assert first.updates.aliases == second.updates.aliases == ()


def test_events_without_any_id_share_no_mailbox() -> None:
    """Two guests without email are two people."""
    arrivals = Arrivals()
    mailboxes = {arrivals.place(userId="guest").user for _ in range(5)}
    assert len(mailboxes) == 5
    assert all(name.startswith("~") for name in mailboxes)


def test_an_event_that_only_its_options_address_has_a_mailbox_of_its_own() -> None:
    """Its options say whom it goes to; they link no ids."""
    options = {"integrations": {"Sailthru": {"id": "1234567890", "key": "sid"}}}
    placement = Arrivals().place(**options)

    assert placement.user.startswith("~")
    assert not placement.updates.emails
    assert not placement.updates.aliases


def test_an_id_with_more_than_five_emails_a_day_is_shared() -> None:
    """A till's or a kiosk's id: from the sixth person on it counts as shared."""
    arrivals = Arrivals()
    users = [arrivals.place(userId="till", **shown(f"e{n}@x.com")).user for n in range(8)]
    assert users == [*["till"] * 5, "e5@x.com", "e6@x.com", "e7@x.com"]
    assert arrivals.place(userId="till").user.startswith("~")


def test_links_of_an_id_are_void_once_it_is_known_to_be_shared() -> None:
    """The first five people must not go on sharing its mailbox, by email or by anonymousId."""
    arrivals = Arrivals()
    for n in range(6):
        arrivals.place(userId="till", anonymousId=f"a{n}", **shown(f"e{n}@x.com"))
    assert arrivals.place(**shown("e0@x.com")).user == "e0@x.com"
    later = arrivals.place(anonymousId="a0", **shown("e0@x.com"))
    assert later.user == "a0"
    assert [user for user, *_ in later.updates.emails] == ["a0"]


def test_a_person_may_have_many_emails_over_time() -> None:
    """Only what came within one day counts, also for events that show no email."""
    arrivals = Arrivals()
    for n in range(10):
        assert arrivals.place(userId="u", **shown(f"e{n}@x.com")).user == "u"
        arrivals.clock.advance(DAY_MS / 2000)
    for n in range(6):
        arrivals.place(userId="till", **shown(f"e{n}@x.com"))
    assert arrivals.place(userId="till").user != "till"
    arrivals.clock.advance(DAY_MS / 1000)
    assert arrivals.place(userId="till").user == "till"


@pytest.mark.parametrize("typed", [range(9, 17), range(16, 8, -1)])
def test_an_email_that_was_sent_while_it_was_typed_counts_once(typed: range) -> None:
    """Forwards, and backwards with the delete key."""
    arrivals = Arrivals()
    texts = ["tina@x.example.co"[:length] for length in typed]
    for email in texts:
        assert arrivals.place(userId="u", **shown(email)).user == "u"
    for n in range(4):
        assert arrivals.place(userId="u", **shown(f"e{n}@x.com")).user == "u"
    assert arrivals.place(userId="u", **shown("e4@x.com")).user == "e4@x.com"


@pytest.mark.parametrize(
    "place", [shown, lambda email: {"event": "Order Completed", **data(email)}]
)
def test_an_email_counts_whatever_its_strength(place: Any) -> None:
    """At a till each customer's stands in an order."""
    arrivals = Arrivals()
    for n in range(5):
        assert arrivals.place(userId="till", **place(f"e{n}@x.com")).user == "till"
    assert arrivals.place(userId="till", **place("e5@x.com")).user == "e5@x.com"


def test_what_is_no_deliverable_email_is_no_sighting() -> None:
    """Nothing is learned of it either."""
    arrivals = Arrivals()
    for n in range(9):
        assert arrivals.place(userId="u", **shown(f"e{n}@localhost")).user == "u"
    assert arrivals.known.seen == {}


def test_a_till_that_is_used_all_day_stays_shared() -> None:
    """The oldest sighting is forgotten, not the newest: else tomorrow it would look like a person's again."""
    arrivals = Arrivals()
    for n in range(24):
        arrivals.place(userId="till", **shown(f"e{n}@x.com"))
        arrivals.clock.advance(DAY_MS / 24_000)
    arrivals.clock.advance(DAY_MS / 4_000)
    assert arrivals.place(userId="till").user.startswith("~")


def test_a_till_does_not_follow_a_customer_who_turns_out_to_own_its_latest_email() -> None:
    """The day after, all that others do there would be that customer's."""
    arrivals = Arrivals()
    for n in (0, 1, 2, 3, 4, 5, 0):
        arrivals.visit("till", f"e{n}@x.com")
    updates = arrivals.place(userId="ann", **shown("e0@x.com")).updates
    assert set(updates.aliases) == {("email:e0@x.com", "ann")}


def test_the_sightings_of_an_id_stay_few() -> None:
    """However many people share an id, six emails say that it is shared."""
    arrivals = Arrivals()
    for n in range(50):
        seen = arrivals.place(userId="till", **shown(f"e{n}@x.com")).updates.emails
    assert [(user, email, len(emails)) for user, email, emails, _ in seen] == [("till", "", 6)]


def test_a_visitor_with_a_customers_email_follows_the_customer() -> None:
    """The identify goes to the owner of the email, and so does what this visitor does afterwards."""
    arrivals = Arrivals()
    arrivals.place(type="identify", userId="u", traits={"email": "e@x.com"})
    placement = arrivals.visit("a", "E@X.com")
    assert placement.user == "u"
    assert placement.updates.aliases == (("follows:a", "u"),)
    assert [(user, email) for user, email, *_ in placement.updates.emails] == [("a", "E@X.com")]
    assert arrivals.place(anonymousId="a").user == "u"


@pytest.mark.parametrize("event", ["Subscribed", "Order Completed", "Seen"])
def test_only_a_visitors_call_with_an_email_key_leads_to_the_owner(
    event: str,
) -> None:
    """A guest may order to a customer's address; that makes them neither the customer nor a follower."""
    arrivals = Arrivals()
    arrivals.place(type="identify", userId="u", traits={"email": "e@x.com"})
    asked = {"anonymousId": "a", "properties": {"list": "News"}}
    found = {arrivals.place(event=event, **asked, **shown("e@x.com")).user}
    found.add(arrivals.place(anonymousId="a").user)
    assert found == {"u" if event == "Subscribed" else "a"}


def test_a_visitor_with_an_email_without_an_owner_is_themselves_again() -> None:
    """The next person at the same device: neither the customer's mailbox nor their email is touched."""
    arrivals = Arrivals()
    arrivals.place(type="identify", userId="u", traits={"email": "e@x.com"})
    arrivals.visit("a", "e@x.com")
    placement = arrivals.visit("a", "other@x.com")
    assert placement.user == "a"
    assert placement.updates.aliases == (("follows:a", "a"), ("visitor:other@x.com", "a"))
    assert [user for user, *_ in placement.updates.emails] == ["a"]
    assert arrivals.place(anonymousId="a").user == "a"


def test_a_visitor_linked_to_a_user_links_new_emails_to_that_user() -> None:
    """An event that shows both ids is evidence: a new email on that device is the user's."""
    arrivals = Arrivals()
    arrivals.place(userId="u", anonymousId="a")
    placement = arrivals.visit("a", "new@x.com")
    assert placement.user == "u"
    assert ("email:new@x.com", "u") in placement.updates.aliases
    assert [user for user, *_ in placement.updates.emails] == ["a", "u"]


def test_the_newer_of_an_email_and_a_user_id_decides_whom_a_visitor_follows() -> None:
    """A customer's email typed at another's device leads to its owner, until the other signs in."""
    arrivals = Arrivals()
    arrivals.place(type="identify", userId="ann", traits={"email": "ann@x.com"})
    arrivals.place(userId="bob", anonymousId="a")
    placement = arrivals.visit("a", "ann@x.com")
    assert placement.user == "ann"
    assert [user for user, *_ in placement.updates.emails] == ["a"]
    assert arrivals.place(anonymousId="a").user == "ann"
    arrivals.place(userId="bob", anonymousId="a")
    assert arrivals.place(anonymousId="a").user == "bob"


def test_a_visitor_who_came_with_an_email_first_follows_the_user_who_shows_it_later() -> None:
    """Sailthru makes one profile of the two, with the user's extid: the visitor's extid is gone."""
    arrivals = Arrivals()
    assert arrivals.visit("a", "e@x.com").updates.aliases == (("visitor:e@x.com", "a"),)
    updates = arrivals.place(type="identify", userId="u", traits={"email": "e@x.com"}).updates
    assert set(updates.aliases) == {("email:e@x.com", "u"), ("follows:a", "u")}
    assert arrivals.place(anonymousId="a").user == "u"


def test_a_visitor_who_has_changed_the_email_since_follows_no_user() -> None:
    """Their profile has the newer email."""
    arrivals = Arrivals()
    arrivals.visit("a", "e@x.com")
    arrivals.visit("a", "other@x.com")
    arrivals.place(type="identify", userId="u", traits={"email": "e@x.com"})
    assert arrivals.place(anonymousId="a").user == "a"


def test_the_first_visitor_with_an_email_keeps_it() -> None:
    """It is their profile that has it at Sailthru, or will have."""
    arrivals = Arrivals()
    arrivals.visit("a", "e@x.com")
    placement = arrivals.visit("b", "e@x.com")
    assert (placement.user, placement.updates.aliases) == ("b", ())
    assert arrivals.known.visitor == {"e@x.com": "a"}


def test_an_owner_who_turned_out_to_be_shared_is_not_followed() -> None:
    """A till's id shows the emails of all its customers."""
    arrivals = Arrivals()
    for n in range(6):
        arrivals.place(type="identify", userId="till", traits={"email": f"e{n}@x.com"})
    assert arrivals.visit("a", "e0@x.com").user == "a"


def test_shared_ids_are_left_out_of_the_event() -> None:
    """The mapping must not see them; the event itself stays as it was."""
    event = validate_event({"type": "track", "event": "x", "userId": "guest", "anonymousId": "a"})
    clean = without_shared_ids(event, ("user_id",))
    assert (clean.user_id, clean.anonymous_id, event.user_id) == (None, "a", "guest")


async def test_links_outlive_their_batch() -> None:
    """The splitter reads back aliases and sightings, also of the ids that aliases lead to."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    await boxes.post(identify("m1", "u", anonymousId="a", email="e@x.com"))
    await boxes.post(track("m2", anonymousId="a"), order("m3", properties={"email": "E@x.com"}))
    assert await boxes.mail(Lane.EVENT, "u") == ["m2"]
    assert await boxes.mail(Lane.PURCHASE, "u") == ["m3"]
    for n in range(6):
        await boxes.post(identify(f"till{n}", "till", email=f"till{n}@x.com"))
    await boxes.post(order("m4", properties={"email": "till0@x.com"}))
    assert await boxes.mail(Lane.PURCHASE, "till") == []
    assert await boxes.mail(Lane.PURCHASE, "till0@x.com") == ["m4"]


async def test_strangers_behind_a_shared_id_never_get_each_others_email() -> None:
    """An order of `guest` waits for its own email, not for the next guest's."""
    boxes = Mailboxes(fakeredis.FakeAsyncRedis())
    await boxes.post(
        identify("m1", "guest", email="e1@x.com"), order("m2", "guest", anonymousId="a2")
    )
    claim = await boxes.lease_and_claim(Lane.PURCHASE, "a2")
    assert claim.memory.email is None
    assert claim.head.shared_ids == "user_id"
