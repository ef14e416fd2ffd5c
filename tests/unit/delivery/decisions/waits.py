"""What a mailbox's head waits for before anything is planned."""

from __future__ import annotations

import json

from pipeline.events.models import Lane
from pipeline.mailbox.claim import Memory, UserBacklog
from pipeline.mailbox.history import NO_EMAIL, Absence
from tests.unit.delivery.decisions.row import (
    EARLIEST,
    GOES_ON,
    HOUR_S,
    NOW_MS,
    Row,
    Table,
    ago,
    identify,
    order,
    state_of,
    track,
)

EARLIER = json.dumps({"seq": f"{NOW_MS - 1000}-0"})
LATER = json.dumps({"seq": f"{NOW_MS + 1000}-0"})
ASKED = Absence(NO_EMAIL, ago(29.0), "")
MERGING = identify(anonymousId="a1")


def _backlog(identified: int = 0, **waiting: int) -> UserBacklog:
    return UserBacklog({lane: waiting.get(lane, 0) for lane in Lane}, identified)


WAITS = Table(
    "Waiting before anything is planned",
    "Waiting uses up no attempt. Its time is counted on a clock that stands still behind closed gates.",
    (
        Row("an event that waits for nothing", None, GOES_ON),
        Row(
            "an event, while an earlier identify of its user waits",
            None,
            "WaitingForIdentify(60.0)",
            "woken by identify; given back, due in 60 s",
            state=state_of(track(), head_of_user=EARLIER),
        ),
        Row(
            "an order, while an earlier identify of its user waits",
            None,
            "WaitingForIdentify(60.0)",
            "woken by identify; given back, due in 60 s",
            state=state_of(order(), Lane.PURCHASE, head_of_user=EARLIER),
        ),
        Row(
            "an event that was accepted 45 s ago, while an earlier identify of its user waits",
            None,
            "WaitingForIdentify(15.0)",
            "woken by identify; given back, due in 15 s",
            state=state_of(track(), head_of_user=EARLIEST, age_s=45.0),
        ),
        Row(
            "an event that was accepted a minute ago, whatever its user lane does",
            None,
            GOES_ON,
            state=state_of(track(), head_of_user=EARLIEST, age_s=60.0),
        ),
        Row(
            "an event that came before the identify",
            None,
            GOES_ON,
            state=state_of(track(), head_of_user=LATER),
        ),
        Row(
            "a page view, which waits for no identify",
            None,
            GOES_ON,
            state=state_of(track(), Lane.PAGE, head_of_user=EARLIER),
        ),
        Row(
            "an order without an email, before Sailthru may be asked again",
            None,
            "WaitingForEmail(30.0)",
            "woken by email; given back, due in 30 s",
            state=state_of(order(), Lane.PURCHASE, absence=ASKED, age_s=30.0),
        ),
        Row(
            "an order without an email, before the mailbox's user was asked about for it",
            None,
            GOES_ON,
            state=state_of(order(), Lane.PURCHASE, absence=ASKED, age_s=20.0),
        ),
        Row(
            "an order without an email, after its user was identified since Sailthru was asked",
            None,
            GOES_ON,
            state=state_of(
                order(), Lane.PURCHASE, absence=ASKED, age_s=30.0, memory=Memory(identified="5")
            ),
        ),
        Row(
            "an order without an email, when Sailthru may be asked again",
            None,
            GOES_ON,
            state=state_of(order(), Lane.PURCHASE, absence=ASKED, age_s=60.0),
        ),
        Row(
            "an order whose email has been learned",
            None,
            GOES_ON,
            state=state_of(
                order(),
                Lane.PURCHASE,
                absence=ASKED,
                age_s=30.0,
                memory=Memory(email="u1@example.org"),
            ),
        ),
        Row(
            "an order without an email, and EMAIL_WAIT is over",
            None,
            "Rejected(missing_email)",
            "1 leaves; letter `missing_email` after 0 attempts, replayed when its email is learned; "
            "claim ends",
            state=state_of(order(), Lane.PURCHASE, absence=ASKED, age_s=72 * HOUR_S),
        ),
        Row(
            "a merge, while identifies of the profile it merges away wait",
            _backlog(user=1),
            "WaitingForMerge(1.0)",
            "lifts that profile's events; given back, due in 1 s",
            state=state_of(MERGING, Lane.USER),
        ),
        Row(
            "a merge that has waited so for 20 minutes is looked at more rarely",
            _backlog(user=1),
            "WaitingForMerge(30.0)",
            "lifts that profile's events; given back, due in 30 s",
            state=state_of(MERGING, Lane.USER, age_s=1200.0),
        ),
        Row(
            "a merge that has waited so until USER_WAIT is over",
            _backlog(user=1),
            GOES_ON,
            state=state_of(MERGING, Lane.USER, age_s=HOUR_S),
        ),
        Row(
            "a merge, while other events of that profile wait",
            _backlog(event=1),
            "WaitingForMerge(1.0)",
            "lifts that profile's events; given back, due in 1 s",
            state=state_of(MERGING, Lane.USER),
        ),
        Row(
            "a merge that has waited for other events for a minute",
            _backlog(event=1),
            GOES_ON,
            state=state_of(MERGING, Lane.USER, age_s=60.0),
        ),
        Row(
            "a merge of a profile that was written after now: Redis' clock has been set back",
            _backlog(identified=ago(-60.0)),
            GOES_ON,
            state=state_of(MERGING, Lane.USER),
        ),
        Row(
            "a merge of a profile that was written a second ago",
            _backlog(identified=ago(1.0)),
            "WaitingForMerge(2.0)",
            "lifts that profile's events; given back, due in 2 s",
            state=state_of(MERGING, Lane.USER),
        ),
    ),
)
