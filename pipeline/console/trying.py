"""The page Try it: what events would become, and, when it is asked to, sends them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from pipeline.accept import prepare
from pipeline.api.queries import BadRequest, bad, compact, parse_json
from pipeline.console import views
from pipeline.console.pages import Done, Form, Pages, segment
from pipeline.errors import EnqueueError, InvalidEvent
from pipeline.guard.rules import Refusal
from pipeline.json_text import read_json
from pipeline.mapping import dry_run
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.targets import target_of
from pipeline.ways_in import WayIn
from pipeline.words import TERMS

MAX_TRIED: Final = 10
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
ORDER: Final = """{
  "type": "track",
  "userId": "u-1",
  "event": "Order Completed",
  "properties": {
    "order_id": "10045",
    "email": "ann@example.com",
    "products": [
      {"product_id": "tea", "name": "Green tea", "price": 4.50, "quantity": 2, "url": "https://shop.example.com/tea"}
    ]
  }
}"""


SIGN_UP: Final = """{
  "type": "identify",
  "userId": "u-1",
  "traits": {"email": "ann@example.com", "firstName": "Ann"}
}"""
PAGE_VIEW: Final = """{
  "type": "page",
  "userId": "u-1",
  "properties": {"url": "https://shop.example.com/tea", "title": "Green tea"}
}"""
CART: Final = """{
  "type": "track",
  "userId": "u-1",
  "event": "Product Added",
  "properties": {
    "product_id": "tea", "name": "Green tea", "price": 4.50, "quantity": 1, "url": "https://shop.example.com/tea"
  },
  "context": {"traits": {"email": "ann@example.com"}}
}"""
EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "order": ("An order", ORDER),
    "order-without-email": (
        "An order without e-mail address",
        ORDER.replace('    "email": "ann@example.com",\n', ""),
    ),
    "sign-up": ("A sign-up", SIGN_UP),
    "page": ("A page view", PAGE_VIEW),
    "cart": ("A cart", CART),
}
"""Name in the address -> what it is, the event."""


class TryPages:
    """Events that a person writes or pastes."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._producer = AsyncProducer(pages.redis)

    async def try_it(self, request: Request) -> Response:
        """What events would become; nothing is sent. Posted with `ask`, it asks whether they are to go to Sailthru."""
        account, asks = self._pages.account(request), False
        example = request.query_params.get("example", "order")
        _, text = EXAMPLES.get(example, EXAMPLES["order"])
        if request.method == "POST":
            form = await self._pages.form(request)
            account, text, asks = form.account, form.values.get("event", ""), "ask" in form.values
        lines, wrong = self._tried(account, text)
        target = target_of(self._pages.settings.account(account))
        return self._pages.render(
            request,
            "try",
            title="Try it",
            account=account,
            text=text,
            examples=[(name, label) for name, (label, _) in EXAMPLES.items()],
            example=example if request.method == "GET" else "",
            lines=lines,
            wrong=wrong,
            goes_to=str(target),
            is_trial=target.is_trial,
            asks=asks and not target.is_trial,
            token=uuid4().hex,
        )

    async def send(self, _: Request, form: Form) -> Done:
        """Take these events as any way in does, once for each form: an event without a messageId gets the form's. What goes to a Sailthru account was asked about before."""
        text, settings = form.values.get("event", ""), self._pages.settings.account(form.account)
        if not target_of(settings).is_trial and "sure" not in form.values:
            raise bad("These events would go to Sailthru: say that they are meant to.", "not_asked")
        token = form.values.get("token", "")
        if not _TOKEN.fullmatch(token):
            raise bad("The form has no token.")
        try:
            ready = [
                prepare(_parsed(raw), partial("try-{}-{}".format, token, at))
                for at, raw in enumerate(_events(text))
            ]
        except InvalidEvent as error:
            raise bad(f"Nothing was sent: {error}", "invalid_event") from None
        try:
            labels = Labels(form.account, via=WayIn.CONSOLE)
            await self._producer.send_all([raw for _, raw in ready], labels)
        except EnqueueError as error:
            raise BadRequest(Refusal(503, "not_sent", f"Nothing was sent. {error}")) from None
        first = ready[0][0]
        events_words = "1 event is" if len(ready) == 1 else f"{len(ready)} events are"
        notice = f"{events_words} on the way; this is what becomes of {'it' if len(ready) == 1 else 'the first'}."
        return Done("send", len(ready), f"/console/events/{segment(first)}", notice, "Try it")

    def _tried(self, account: str, text: str) -> tuple[list[dict[str, Any]], str]:
        try:
            events = _events(text)
        except BadRequest as error:
            return [], error.refusal.message
        now = self._pages.clock.now()
        settings = self._pages.settings.account(account)
        return [_tried_line(dry_run(one, settings, None, now)) for one in events], ""


def _events(text: str) -> list[bytes]:
    """The events of the text: one, or those of an array. Raises BadRequest."""
    raw = text.encode("utf-8", "replace")
    body = parse_json(raw) if text.lstrip().startswith("[") else None
    events = [compact(one) for one in body] if isinstance(body, list) else [raw]
    if len(events) > MAX_TRIED:
        raise bad(f"These are more than {MAX_TRIED} events.", "too_many")
    if not events:
        raise bad("There is no event in this.")
    return events


def _parsed(raw: bytes) -> Mapping[str, Any]:
    try:
        event = read_json(raw)
    except ValueError:
        raise bad("Nothing was sent: this is not JSON.", "invalid_json") from None
    if not isinstance(event, dict):
        raise bad("Nothing was sent: an event is a JSON object.", "invalid_event")
    return event


def _tried_line(line: Mapping[str, Any]) -> dict[str, Any]:
    calls = [
        (f"{one['method']} {one['endpoint']}", views.pretty(one["params"])) for one in line["calls"]
    ]
    waits = line["waits"]
    held = (
        waits
        and f"It would wait up to {views.duration(waits['at_most_s'])} for an e-mail address of its customer."
    )
    return {**line, "held": held, "calls": calls, "lane": TERMS.get(line["lane"] or "", "")}
