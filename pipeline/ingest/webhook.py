"""Segment's Webhooks destination: a shop keeps its sources at Segment, and only the destination is another.

Segment posts each event alone, fully formed, with the HMAC-SHA1 of the body in `X-Signature`, and comes again for
hours after a 5xx, never after a 4xx (segment-docs: destinations/catalog/webhooks, actions-webhook).
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp

from pipeline.ingest.answers import HttpError
from pipeline.ingest.bodies import read_object
from pipeline.ingest.endpoint import Endpoint
from pipeline.ingest.openapi import ANY_OBJECT, TEXT, PathItem, segment_post
from pipeline.ingest.refusals import Refusals
from pipeline.ingest.segment_events import allowed, forwarded_event
from pipeline.ingest.shares import Shares
from pipeline.ingest.write_keys import Grant
from pipeline.producer import AsyncProducer
from pipeline.raw_entries import Labels
from pipeline.ways_in import WayIn

PATH = "/webhook/segment"
SIGNATURE = "X-Signature"


class SegmentWebhook:
    """Takes events for the accounts whose secrets sign them, as the roles of those allow."""

    def __init__(
        self,
        producer: AsyncProducer,
        grants: Mapping[str, Grant],
        shares: Shares,
        refusals: Refusals,
    ) -> None:
        """grants: by shared secret."""
        self._producer = producer
        self._grants = grants
        self._shares = shares
        self._refusals = refusals

    def apps(self) -> dict[str, ASGIApp]:
        """By path: what takes its requests."""
        return {PATH.strip("/"): Endpoint(self.accept, self._refusals)}

    def describe(self) -> dict[str, PathItem]:
        """The same path, as `/openapi.json` says it."""
        signature = {
            "name": SIGNATURE,
            "in": "header",
            "required": True,
            "description": "HMAC-SHA1 of the body with the shared secret, in hex.",
            "schema": TEXT,
        }
        refused = (400, 401, 403, 503)
        summary = "Take one event from Segment"
        item = segment_post(summary, ANY_OBJECT, refused, parameters=[signature])
        return {PATH.strip("/"): item}

    async def accept(self, headers: Headers, body: bytes) -> None:
        """Put the event into the raw stream. Raises HttpError or EnqueueError; it was not taken then."""
        grant = signed_by(self._grants, headers.get(SIGNATURE), body)
        raw = forwarded_event(read_object(body), lambda: str(uuid.uuid4()))
        events = allowed(raw, grant.key.role)
        bulk = await self._shares.is_bulk(grant, 1, events.lanes)
        labels = Labels(grant.account, bulk, grant.key.role, WayIn.WEBHOOK)
        await self._producer.send_all(events.raws, labels)


def signed_by(grants: Mapping[str, Grant], signature: str | None, body: bytes) -> Grant:
    """The grant of the secret with which a body was signed.

    Raises:
        HttpError: 401 when it was signed with none of them, or there are none; 400 for a batch, of which Segment signs
            the first event alone.
    """
    if not grants:
        raise HttpError(
            401,
            "no_webhook_secrets",
            "This server takes no webhooks yet: set SAILPIPE_WEBHOOK_SECRETS to the secret that Segment signs with.",
        )
    if body.lstrip()[:1] == b"[":
        raise HttpError(400, "one_event", "It takes one event a request: turn batching off.")
    given = (signature or "").strip().lower().encode()
    if not given:
        raise HttpError(
            401, "missing_signature", f"No {SIGNATURE}: set the shared secret at Segment."
        )
    for secret, grant in grants.items():
        right = hmac.digest(secret.encode(), body, "sha1").hex().encode()
        if hmac.compare_digest(right, given):
            return grant
    raise HttpError(
        401, "invalid_signature", "The body was signed with none of SAILPIPE_WEBHOOK_SECRETS."
    )
