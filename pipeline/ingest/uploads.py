"""A form of several parts, one of which may be a file: how Sailthru's clients upload what a `/job` is to read."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from pipeline.ingest.bodies import MAX_BODY_BYTES
from pipeline.ingest.sailthru_requests import BAD_UTF8, MAX_FIELDS, OTHER, ApiError
from pipeline.sailthru.calls import Upload

MAX_UPLOAD_BYTES = 10_000_000
"""Of a whole form (reference: sailthru-api 2.6)."""


def is_multipart(scope: Scope) -> bool:
    """Whether the body is a form of several parts, by its Content-Type."""
    given = dict(scope["headers"]).get(b"content-type", b"")
    return bool(given.lower().startswith(b"multipart/form-data"))


async def read_parts(scope: Scope, receive: Receive) -> tuple[dict[str, str], Upload | None]:
    """Its fields, the last of each name, and its file.

    Raises:
        ApiError: it is larger than MAX_UPLOAD_BYTES or no such form, has two files, or a field that is no UTF-8.
    """
    request = Request(scope, _bounded(receive))
    fields: dict[str, str] = {}
    upload: Upload | None = None
    try:
        async with request.form(
            max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_BODY_BYTES
        ) as form:
            for name, part in form.multi_items():
                if isinstance(part, UploadFile):
                    kind = part.content_type or "application/octet-stream"
                    upload = Upload(name, part.filename or name, kind, await part.read())
                else:
                    fields[name] = part
    except MultiPartException as error:
        raise ApiError(400, OTHER, f"Invalid form: {error.message}") from None
    except UnicodeError:
        raise ApiError(400, BAD_UTF8, "Invalid UTF-8") from None
    except ClientDisconnect:
        raise ApiError(400, OTHER, "The request ended early.") from None
    return fields, upload


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def read() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_UPLOAD_BYTES:
            raise ApiError(413, OTHER, f"The form is larger than {MAX_UPLOAD_BYTES} bytes.")
        return message

    return read
