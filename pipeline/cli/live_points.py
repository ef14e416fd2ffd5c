"""What was never checked against the real Sailthru: what sailpipe assumes, and what to change where that is wrong.

`sailpipe doctor --live` asks what can be asked (checks_live.py); docs/unverified.md is made from the same table. No I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Group = Literal["profile", "orders", "not asked"]


@dataclass(frozen=True, slots=True)
class Point:
    """One of them.

    group: `profile` is asked on a test profile that is deleted afterwards; `orders` makes orders that stay; `not asked`
        says in `asks` why not, and how to find out. asks: the calls that are made. assumes: what the code goes by.
    change: what to do where the answer is another.
    """

    question: str
    group: Group
    asks: str
    assumes: str
    change: str


POINTS: Mapping[str, Point] = MappingProxyType(
    {
        "extid look-up": Point(
            "Does the account find profiles by extid?",
            "profile",
            "POST /user with an extid, GET /user by it",
            "It does.",
            "Ask Sailthru to enable lookup by extid: without it no event finds its user.",
        ),
        "unknown user, read": Point(
            "What does GET /user say of an extid that no profile has?",
            "profile",
            "GET /user by an extid that was just made up",
            "An error whose message begins with `User not found with`.",
            "Report the answer: identifies and carts of new users would be tried again in vain.",
        ),
        "unknown user, event": Point(
            "What does POST /event say of a user whom Sailthru does not know?",
            "profile",
            "POST /event for an extid that was just made up",
            "The same error: the event waits for its user (USER_WAIT).",
            "If it was taken, events need not wait: nothing to change, they are delivered at once. If it was refused in other"
            " words, report them: such events die as `rejected`, without waiting.",
        ),
        "unknown order": Point(
            "What does GET /purchase say of an order that is not there?",
            "profile",
            "GET /purchase by an extid that was just made up",
            "An error with status 404 or the words `not found`, or an empty reply.",
            "Report the answer: an order whose first call got no answer would wait until it is given up, instead of being posted again.",
        ),
        "rate headers": Point(
            "In which window are calls counted, and how many are allowed?",
            "profile",
            "the headers of GET /user",
            "A clock minute, and 300 calls/s for /user.",
            "`sailpipe limits set` with what the headers say, divided by 60.",
        ),
        "read lag": Point(
            "How long after a write does a read show it?",
            "profile",
            "POST /user with a var, GET /user until it is there",
            "No longer than READ_LAG (3 s).",
            "Set SAILPIPE_READ_LAG to twice what was measured: carts are read too early otherwise.",
        ),
        "var names": Point(
            "Are vars with dots and blanks in their names kept, rewritten or refused?",
            "profile",
            "POST /user with the var `sailpipe a.b`, GET /user",
            "They are cut or refused: VAR_NAMES=clean sends none.",
            "Kept as they are: VAR_NAMES=as_is is safe with this account, if you want the names of your events.",
        ),
        "long var names": Point(
            "Is a var name of 33 characters refused?",
            "profile",
            "POST /user with such a var",
            "It is, with error 99: VAR_NAMES=clean sends none.",
            "Taken: VAR_NAMES=as_is is safe for long names, too.",
        ),
        "large call": Point(
            "Is a call as large as the largest event taken?",
            "profile",
            "POST /user with 32 KB of vars",
            "It is.",
            "Report the answer: such events die as `rejected`. Send less in them (PII_PROPERTIES leaves fields out).",
        ),
        "reserved event names": Point(
            "Do capitals count in the reserved event names?",
            "profile",
            "POST /event with the name `Daily`",
            "They do not: `Daily` is refused as `daily` is, and so is it here (`reserved_event`).",
            "Taken: rename nothing; report it, so that such events are sent.",
        ),
        "keysconflict": Point(
            "How is a key refused that another profile has?",
            "profile",
            "POST /user of a second profile with the email of the first and `keysconflict: error`",
            "An error; the identify dies as `rejected` (only with KEYSCONFLICT=error).",
            "Taken: the profiles were merged all the same. KEYSCONFLICT=error protects nothing.",
        ),
        "customer id": Point(
            "How does the pageview host refuse a customer id that it does not know?",
            "profile",
            "a pageview with a made-up customer id",
            "HTTP 401: the gate of that host closes (`misconfigured`).",
            "Taken or refused otherwise: a wrong CUSTOMER_ID is not noticed; look whether page views arrive.",
        ),
        "same order twice": Point(
            "Does an order with the `purchase_keys.extid` of another make a second purchase?",
            "orders",
            "two POST /purchase with one extid, GET /user with `purchases`",
            "It does, or may: sailpipe posts each order once (ORDER_WINDOW), and looks before it posts again.",
            "It does not: nothing to change, Sailthru protects orders a second time.",
        ),
        "cart after an order": Point(
            "Does an order empty the cart?",
            "orders",
            "POST /purchase of a cart, then of an order, GET /user with `purchase_incomplete`",
            "It does.",
            "Report it: bought items would be added to again and mailed about.",
        ),
        "bursts": Point(
            "Are more calls in one second refused while the minute has room?",
            "not asked",
            "The check would have to exceed the limit, on which other programs of the account depend.",
            "They are: no second has more than its part. This is the safe side.",
            "`sailpipe limits set` raises the limit, if Sailthru tells you that bursts are fine.",
        ),
        "limits by account": Point(
            "Do several API keys of one account share its limits?",
            "not asked",
            "It takes two keys; ask Sailthru.",
            "They do, so the headers are followed as well: calls of other programs slow sailpipe down.",
            "`sailpipe limits set`, if each key has limits of its own.",
        ),
        "pageview limits": Point(
            "What are the limits of the pageview host, and how does it refuse too many?",
            "not asked",
            "There is no documented limit that a check could come near.",
            "40 calls/s, and HTTP 429 or an outage when they are too many.",
            "`sailpipe limits set` for the pageview endpoint.",
        ),
        "time limits": Point(
            "How long may a call take at Sailthru?",
            "not asked",
            "It takes a call that is slow there; `sailpipe metrics` shows how long yours take.",
            "Less than HTTP_TIMEOUT (8 s); one that takes longer may have been made.",
            "Raise SAILPIPE_HTTP_TIMEOUT and SAILPIPE_LEASE.",
        ),
        "Segment's queue": Point(
            "Does Segment's Sailthru destination send what it had queued when it is turned off?",
            "not asked",
            "It is Segment's; look at its *Event Delivery* when you switch (howto/move-from-segment.md).",
            "It does not.",
            "Look at the orders of that minute, in Sailthru's purchase log.",
        ),
        "Vibetrace's events": Point(
            "Which event types does Vibetrace's API know today, and does its path end with a slash?",
            "not asked",
            "sailpipe takes such events and does not call Vibetrace.",
            "The types of its help pages; the path with and without a slash.",
            "Report a type that is refused and should not be.",
        ),
    }
)
"""By the name that `doctor` shows."""
