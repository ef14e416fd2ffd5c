"""The whole behaviour of the sandbox as one object without HTTP, signatures or clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.sandbox.commerce import get_purchase, post_purchase, post_return
from pipeline.sandbox.events import post_event, post_pageview
from pipeline.sandbox.options import SandboxOptions
from pipeline.sandbox.replies import OTHER, UNSUPPORTED, ApiError, Reply
from pipeline.sandbox.state import Moment, SandboxState
from pipeline.sandbox.users import delete_user, get_user, post_user

PAGEVIEW_ENDPOINT = "/v1/track/event/pageview"

_Endpoint = Callable[[Mapping[str, Any], Moment], dict[str, Any]]
_ENDPOINTS: Mapping[str, Mapping[str, _Endpoint]] = {
    "/user": {"GET": get_user, "POST": post_user, "DELETE": delete_user},
    "/event": {"POST": post_event},
    "/purchase": {"GET": get_purchase, "POST": post_purchase},
    "/return": {"POST": post_return},
}


class Sandbox:
    """Sailthru's side of a conversation. `state` may be looked at and `options` replaced any time."""

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self.state = SandboxState()

    def handle(
        self,
        method: str,
        endpoint: str,
        params: Mapping[str, Any],
        now: float,
        *,
        bearer: str | None = "in-process",
    ) -> Reply:
        """Answer one call that arrives at `now` (Unix seconds, never going back)."""
        moment = Moment(self.state, self.options, now)
        if endpoint == PAGEVIEW_ENDPOINT and method == "POST":
            return post_pageview(params, bearer, moment)
        methods = _ENDPOINTS.get(endpoint, {})
        if method not in methods:
            return _no_such(method, endpoint, known=bool(methods))
        try:
            return Reply(200, methods[method](params, moment))
        except ApiError as error:
            return error.reply


def _no_such(method: str, endpoint: str, *, known: bool) -> Reply:
    if known:
        return Reply(405, {"error": UNSUPPORTED, "errormsg": f"{endpoint} does not take {method}"})
    return Reply(404, {"error": OTHER, "errormsg": f"There is no {endpoint}"})
