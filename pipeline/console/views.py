"""Letters and times as a page shows them. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode

from markupsafe import Markup, escape

from pipeline.clock import iso
from pipeline.deadletters.filters import Filter, first_order_number
from pipeline.deadletters.jobs import Job, JobState
from pipeline.deadletters.letter import Letter
from pipeline.deadletters.states import GroupState
from pipeline.events.models import Lane
from pipeline.guard.masking import MASK, Masking
from pipeline.json_text import read_json
from pipeline.verbs.groups import MarkedGroup
from pipeline.words import FAULTS, TERMS, console_do, words_of

BARS, BARS_HEIGHT = 120, 24
"""Width and height of the plot of a problem's last day."""
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)")
"""As command line and API write a time within a sentence."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def ago(at_ms: int, now: float) -> str:
    """`just now`, `5 min ago`, `3 h ago`, `2 days ago`."""
    passed = max(0.0, now - at_ms / 1000)
    if passed < _MINUTE:
        return "just now"
    if passed < _HOUR:
        return f"{passed // _MINUTE:.0f} min ago"
    if passed < 2 * _DAY:
        return f"{passed // _HOUR:.0f} h ago"
    return f"{passed // _DAY:.0f} days ago"


def time_tag(at_ms: int, now: float) -> Markup:
    """How long ago, with the exact time as its title."""
    exact = iso(at_ms)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, exact, ago(at_ms, now))


def clock_tag(at: float, to: Literal["minutes", "seconds"] = "minutes") -> Markup:
    """A time of day, UTC until the page's script writes it in the browser's zone."""
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" data-clock="{}">{} UTC</time>').format(
        moment.isoformat(), to, moment.strftime("%H:%M" if to == "minutes" else "%H:%M:%S")
    )


def moment_tag(at: float, now: float) -> Markup:
    """A time of day; with its day when that is another, which the page's script judges in the browser's zone."""
    moment = datetime.fromtimestamp(at, UTC)
    is_today = moment.date() == datetime.fromtimestamp(now, UTC).date()
    day = "" if is_today else moment.strftime("%d %b ").lstrip("0")
    return Markup('<time datetime="{}" data-clock="moment">{}{} UTC</time>').format(
        moment.isoformat(), day, moment.strftime("%H:%M")
    )


def at_tag(text: str, now: float) -> Markup:
    """A time of the JSON shapes as a time of day; with its day when that is another."""
    return moment_tag(datetime.fromisoformat(text).timestamp(), now)


def with_times(text: str) -> Markup:
    """Foreign text in which `2026-11-27 14:20:00 UTC` is a time of the browser's zone."""
    parts = _TIME.split(plain(text))
    parts[1::2] = [
        Markup('<time datetime="{}T{}Z" data-clock="day">{}</time>').format(
            found[:10], found[11:19], found
        )
        for found in parts[1::2]
    ]
    return Markup("<bdi>{}</bdi>").format(Markup("").join(parts))


def duration(seconds: float | None) -> str:
    """`4 s`, `6 min`, `2 h`, `3 days`; nothing for None."""
    if seconds is None:
        return ""
    for size, unit in ((_DAY, "days"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def plain(value: object) -> str:
    """Text without controls, and without what reorders the text around it."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else "\ufffd" for char in str(value)
    )


def foreign(value: object) -> Markup:
    """Text that came from outside: escaped, plain, and with a direction of its own."""
    return Markup("<bdi>{}</bdi>").format(escape(plain(value)))


def what(letter: Letter) -> str:
    """What the letter is, in a few words: the event's name, else its type."""
    return letter.header.event or letter.header.type or "An event that cannot be read"


def order_number(letter: Letter, masking: Masking) -> str:
    """The number of the order that a letter is about; '' where it has none, or where it is masked."""
    if letter.header.lane != Lane.PURCHASE:
        return ""
    try:
        number = first_order_number(masking.value(read_json(letter.raw)))
    except ValueError:
        return ""
    return "" if number == MASK else number


def letter_row(letter: Letter, masking: Masking, now: float) -> dict[str, Any]:
    """One row of a list. Without the raw event it has no order number."""
    header = letter.header
    return {
        "id": letter.id,
        "what": what(letter),
        "order": order_number(letter, masking),
        "who": header.user,
        "who_shown": masking.identity(header.user),
        "lane": TERMS.get(header.lane, ""),
        "reason": header.reason,
        "why": words_of(header.reason).title,
        "when": time_tag(header.died_at, now),
        "tries": header.attempts,
    }


def letter_page(letter: Letter, masking: Masking, now: float) -> dict[str, Any]:
    """Everything about one letter."""
    shown = masking.letter(letter.as_json())
    words, row = words_of(letter.header.reason), letter_row(letter, masking, now)
    return {
        **row,
        "title": f"Order {row['order']}" if row["order"] else row["what"],
        "detail": letter.header.detail.rstrip("."),
        "do": console_do(letter.header.reason),
        "fault": FAULTS[words.fault],
        "group": letter.header.fingerprint,
        "raw": shown["raw"],
        "pretty": pretty_text(shown["raw"]),
        "sent": shown["calls"],
        "arrived": time_tag(letter.header.first_seen_ms, now),
        "endpoint": letter.header.endpoint,
        "status": letter.header.status,
        "error": letter.header.error,
    }


def group_row(found: MarkedGroup, now: float, hours: Sequence[int] = ()) -> dict[str, Any]:
    """One problem: letters that died of the same cause. hours: how many in each of the last hours, the oldest first."""
    group, mark = found.group, found.mark
    shown, words = group.as_json(), found.words
    return {
        "group": group.fingerprint,
        "reason": shown["reason"],
        "title": words.sentence(group.letters, shown["users"]),
        "do": console_do(shown["reason"]),
        "fault": words.fault.value,
        "whose": FAULTS[words.fault],
        "detail": shown["detail"],
        "letters": group.letters,
        "people": shown["users"],
        "lanes": ", ".join(TERMS[lane] for lane in shown["lanes"]),
        "first": time_tag(group.first_ms, now),
        "last": time_tag(group.last_ms, now),
        "bars": bars(hours),
        "hours": [
            (clock_tag(now - (len(hours) - at) * _HOUR), count)
            for at, count in enumerate(hours)
            if count
        ],
        "lately": sum(hours),
        "state": mark.state.value,
        "acts": [(state.value, _MARKS[state]) for state in GroupState if state is not mark.state],
        "marked_by": mark.by,
        "marked_why": mark.why,
    }


_MARKS: Final[Mapping[GroupState, str]] = {
    GroupState.ACKNOWLEDGED: "Acknowledge",
    GroupState.IGNORED: "Ignore",
    GroupState.OPEN: "Reopen",
}
"""What the button says that brings a problem into a state."""


def bars(counts: Sequence[int]) -> str:
    """The path of an SVG of BARS x BARS_HEIGHT, a bar for each number; '' where there is nothing to draw."""
    most = max(counts, default=0)
    if not most:
        return ""
    width = BARS / len(counts)
    heights = [
        (at, max(1.0, count / most * BARS_HEIGHT)) for at, count in enumerate(counts) if count
    ]
    return " ".join(
        f"M{at * width:.1f} {BARS_HEIGHT}v-{height:.1f}h{width - 1:.1f}v{height:.1f}z"
        for at, height in heights
    )


def pretty(value: Any) -> str:
    """JSON that a person can read."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def pretty_text(raw: str) -> str:
    """An event that a person can read; as it came when it is no JSON."""
    try:
        return pretty(read_json(raw.encode("utf-8", "replace")))
    except ValueError:
        return raw


def filter_words(text: str) -> str:
    """What an act was about, as the page says it: a lane by its name, a fingerprint and the empty filter in the console's words,
    values of others as they are."""
    if text in list(Lane):
        return TERMS[text]
    if text == Filter().in_words():
        return "all letters"
    text = _OF_GROUP.sub(TERMS["fingerprint"], text)
    return _OF_LANE.sub(lambda found: found["before"] + TERMS[found["lane"]], text)


_OF_LANE: Final = re.compile(
    rf"^(?P<before>(?:reason [a-z_]+, )?)lane (?P<lane>{'|'.join(Lane)})(?=$|[,:])"
)
"""Where `Filter.in_words` names the lane: at the beginning, so that no value of another filter is taken for it."""
_OF_GROUP: Final = re.compile(r"^group(?= [0-9a-f]{12}\b)")
"""The same of the fingerprint."""


def filter_query(values: Mapping[str, str]) -> str:
    """The filters of a page as the query of another."""
    return urlencode({name: value for name, value in values.items() if value})


def shown_views(
    found: Mapping[str, dict[str, str]], asked: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Views as a page lists them; `is_here` is the one whose filters the page has. No I/O."""
    return [
        {"name": name, "asked": filters, "is_here": filters == asked}
        for name, filters in found.items()
    ]


def job_row(job: Job, now: float) -> dict[str, Any]:
    """One re-send: how far it is, and what is to be said of it."""
    now_ms = int(now * 1000)
    ends_at = job.ends_at(now_ms)
    return {
        "id": job.id,
        "state": job.state.value,
        "words": _STATES[job.state],
        "what": job.what,
        "by": job.by,
        "why": job.why,
        "total": job.total,
        "through": job.through,
        "sent": job.sent,
        "gone": job.gone,
        "overtaken": job.overtaken,
        "again": job.again,
        "others": job.others,
        "detail": job.detail,
        "has_ended": job.has_ended,
        "can_pause": job.state is JobState.RUNNING,
        "can_resume": job.state in {JobState.PAUSED, JobState.ASKING},
        "when": time_tag(job.created_at, now),
        "ends_at": None if ends_at is None else moment_tag(ends_at / 1000, now),
        "rate": job.rate,
        "pace": _pace(job, now_ms),
        "died": _died_again(job),
    }


def _pace(job: Job, now_ms: int) -> str:
    """Letters a second so far, while it runs; '' before that is known."""
    passed = now_ms - job.began_at
    if job.state is not JobState.RUNNING or not job.began_at or not job.through or passed <= 0:
        return ""
    pace = job.through * 1000 / passed
    return f"{pace:.0f}" if pace >= 10 else f"{pace:.1f}" if pace >= 0.1 else "less than 0.1"


def _died_again(job: Job) -> list[tuple[str, dict[str, str]]]:
    """Links to what died since a re-send began: words, and the filters. What it sent was of one cause if its filter said so."""
    since = {"since": iso(job.created_at)}
    found = _ONE_GROUP.fullmatch(job.what)
    links = []
    if job.again and found:
        links.append(("What died again of the same", {**since, "group": found[1]}))
    if job.others or (job.again and not found):
        links.append(("What was not delivered since it began", since))
    return links


_ONE_GROUP: Final = re.compile(r"group ([0-9a-f]{12})")
_STATES: Final[Mapping[JobState, str]] = {
    JobState.FILLING: "beginning",
    JobState.RUNNING: "sending",
    JobState.PAUSED: "paused",
    JobState.ASKING: "the first are sent: shall it go on?",
    JobState.STOPPED: "stopped",
    JobState.DONE: "done",
}
