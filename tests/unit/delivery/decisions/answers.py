"""Answers to calls that deliver."""

from __future__ import annotations

from pipeline.events.models import Lane
from pipeline.mailbox.claim import Memory
from tests.unit.delivery.decisions.refusals import ADDRESS_REFUSED, REFUSED
from tests.unit.delivery.decisions.replies import (
    CART,
    CHANGED,
    EVENT,
    FOLD,
    MERGE,
    OK,
    ORDER,
    ORDERED,
)
from tests.unit.delivery.decisions.row import NOW, Row, Table, identify, state_of, track
from tests.unit.delivery.decisions.unanswered import UNANSWERED

ACCEPTED = (
    Row("accepted", OK, "Delivered", "1 leaves; counted `delivered` 1; claim ends", EVENT),
    Row(
        "accepted, with more behind it",
        OK,
        "Delivered",
        "1 leaves; counted `delivered` 1; claim goes on",
        EVENT,
        state_of(track(), count=2),
    ),
    Row(
        "accepted, a call for three identifies",
        OK,
        "Delivered(3)",
        "3 leave; counted `delivered` 3, counted `folded` 2; learns identified, newest:identify; "
        "wakes the other lanes; claim ends",
        FOLD,
        state_of(identify(), Lane.USER, count=3),
    ),
    Row(
        "accepted, an identify that merges the anonymous profile",
        OK,
        "Delivered",
        "1 leaves; counted `delivered` 1; learns identified, merged (a2 a1); "
        "wakes the other lanes; claim ends",
        MERGE,
        state_of(
            identify(),
            Lane.USER,
            memory=Memory(merged=("a1", "a2"), newest={"identify": 2 * int(NOW * 1000)}),
        ),
    ),
    Row(
        "accepted, an order",
        OK,
        "Delivered",
        "1 leaves; counted `delivered` 1; intent forgotten; learns newest:cart; "
        "cart of 0 known for 720 h; claim ends",
        ORDER,
        ORDERED,
    ),
    Row(
        "accepted, a cart change",
        OK,
        "Delivered",
        "1 leaves; counted `delivered` 1; intent forgotten; learns newest:cart; "
        "cart of 1 known for 24 h; claim ends",
        CART,
        CHANGED,
    ),
)

ANSWERS = Table(
    "Answers to a call that delivers",
    "What Sailthru's answer to the call of an event, or the lack of an answer, comes to.",
    (*ACCEPTED, *ADDRESS_REFUSED, *UNANSWERED, *REFUSED),
)
