"""What the HTTP server answers: always JSON, always a shape the official SDKs can read.

Reference: segment 1.8. Segment's Python SDK retries a 400 ten times unless its body has `code` and
`message`; Ruby's looks for `error`; PHP's loops for ever on a success that is not exactly 200.
"""

from __future__ import annotations

from starlette.responses import JSONResponse

RETRY_AFTER_S = 5
"""Seconds a producer is asked to wait while Redis is away or full; SDKs accept up to 300."""


class HttpError(Exception):
    """A request is refused. `message` is for the caller to read and quotes no values."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message


def success_response() -> JSONResponse:
    """Exactly 200, never an empty body."""
    return JSONResponse({"success": True})


def error_response(error: HttpError) -> JSONResponse:
    """`error` as JSON; a 503 says when to come again."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else None
    body = {"success": False, "code": error.code, "message": error.message, "error": error.message}
    return JSONResponse(body, error.status, headers)
