"""What became of an event and of a person, as pages say it. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from pipeline.console import views
from pipeline.guard.masking import Masking
from pipeline.status.person import OUTCOMES, Finding
from pipeline.status.wording import SOURCES, WAITS, fate_words, way_words
from pipeline.words import TERMS, console_do, console_words, words_of

Json = Mapping[str, Any]
_MARKS: Final = {True: ("good", "✓", "yes"), False: ("bad", "✗", "no"), None: ("", "?", "unclear")}
_FINDINGS: Final = {
    "arrived": "Did anything arrive?",
    "delivered": "Was it delivered?",
    "profile": "Does Sailthru know the person?",
    "optout": "May mails go out?",
    "order": "Are all orders through?",
}
"""What `sailpipe user --why` calls its findings, as questions."""


def moment(text: str | None, now: float) -> Markup | None:
    """A time of the JSON shapes as a page shows it; None for None."""
    if text is None:
        return None
    return views.time_tag(int(datetime.fromisoformat(text).timestamp() * 1000), now)


def since(log: Json | None, now: float) -> Markup | None:
    """Since when every outcome is remembered; None where that is not known."""
    return moment(log["complete_since"], now) if log else None


def outcome_words(one: Json) -> str:
    """What became of an event, in the console's words."""
    if one["fate"] == "dead":
        return f"{TERMS['dead letter']}: {words_of(one['reason'] or '').title}"
    return console_words(fate_words(one["fate"], one["reason"]))


def event_title(found: Json) -> str:
    """What an event is called: its name, else its id."""
    events = found["events"]
    return str((events[-1]["what"] if events else None) or found["id"])


def event_tale(event: Json, now: float) -> dict[str, Any]:
    """One arrival of an event, from the way in to its end."""
    letter, waiting = event["letter"], event["waiting"]
    return {
        "id": event["id"],
        "what": event["what"] or "An event that cannot be read",
        "user": event["user"],
        "lane": TERMS.get(event["lane"] or "", ""),
        "arrived": moment(event["arrived"], now),
        "way": way_words(event["via"], event["way"]),
        "lines": [line for step in event["steps"] for line in _step(step, now)],
        "words": outcome_words(event),
        "is_dead": event["fate"] == "dead",
        "folded_with": event["folded_with"],
        "repeats": event["repeats"],
        "waiting": waiting and waiting_tale(waiting, now),
        "letter": letter and letter["id"],
        "do": console_do(letter["reason"]) if letter else "",
    }


def _step(step: Json, now: float) -> list[dict[str, Any]]:
    calls = [
        {
            "when": moment(call["at"], now),
            "text": f"{call['endpoint']}: {call['status'] or 'no answer'}, {call['ms']} ms",
        }
        for call in step["calls"]
    ]
    return [*calls, {"when": moment(step["at"], now), "text": outcome_words(step)}]


def waiting_tale(row: Json, now: float) -> dict[str, Any]:
    """An event that waits: for what, and till when."""
    return {
        "id": row["id"],
        "what": row["what"] or "An event that cannot be read",
        "arrived": moment(row["arrived"], now),
        "for": console_words(WAITS.get(row["waits_for"], row["waits_for"])),
        "gate": row.get("gate"),
        "ahead": row["ahead"],
        "next_try": _clock(row["next_try"], now),
        "ends": _clock(row["ends"], now),
    }


def person_tale(person: Json, masking: Masking, now: float) -> dict[str, Any]:
    """Everything that is known of a person. Fields of REDACT are masked."""
    waiting = sum(one["events"] for one in person["waiting"].values())
    email = person["email"]
    return {
        "id": person["id"],
        "user": person["user"],
        "known": person["known"],
        "verdict": _verdict(len(person["dead"]), waiting),
        "email": email and masking.identity(email["address"]),
        "source": email and SOURCES.get(email["source"], ""),
        "by_page": bool(email and email["by_page"]),
        "email_at": email and moment(email["at"], now),
        "refused": [masking.identity(one) for one in person["refused"]],
        "identified": moment(person["identified"], now),
        "merged": person["merged"],
        "cart": None if person["cart"] is None else _cart(masking.value(person["cart"])),
        "lanes": [
            (TERMS[lane], box["events"], [waiting_tale(row, now) for row in box["first"]])
            for lane, box in person["waiting"].items()
            if box["events"]
        ],
        "outcomes": [
            {
                "id": one["id"],
                "what": one["what"] or "An event that cannot be read",
                "words": outcome_words(one),
                "when": moment(one["at"], now),
                "lane": TERMS.get(one["lane"] or "", ""),
            }
            for one in person["outcomes"]
        ],
        "dead": [
            {
                "id": one["id"],
                "what": one["event"] or one["type"] or "An event that cannot be read",
                "why": words_of(one["reason"]).title,
                "reason": one["reason"],
                "when": moment(one["died_at"], now),
            }
            for one in person["dead"]
        ],
        "since": since(person["log"], now),
    }


def finding(one: Finding) -> dict[str, str]:
    """One answer to why a person got no mail."""
    mood, mark, word = _MARKS[one.ok]
    return {
        "question": _FINDINGS.get(one.what, one.what),
        "text": one.text,
        "mood": mood,
        "mark": mark,
        "word": word,
    }


def _verdict(dead: int, waiting: int) -> str:
    """What is to be said first, a sentence."""
    number = f"{dead} or more" if dead >= OUTCOMES else str(dead)
    parts = [f"{number} of this person's events {_are(dead)} not delivered"] if dead else []
    parts += [f"{waiting:,} {'waits' if waiting == 1 else 'wait'}"] if waiting else []
    if not parts:
        return "Everything that arrived of this person is through."
    return f"{' and '.join(parts)}. Everything else that arrived is through."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _cart(cart: Json) -> list[str]:
    return [f"{one.get('qty')} x {one.get('id')}" for one in cart["items"]]


def _clock(text: str | None, now: float) -> Markup | None:
    return None if text is None else views.moment_tag(datetime.fromisoformat(text).timestamp(), now)
