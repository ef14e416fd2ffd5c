"""A call to Sailthru as a value: what mapping produces, the client sends and a dead letter keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.lanes import PAGEVIEW_ENDPOINT

Method = Literal["GET", "POST", "DELETE"]


@dataclass(frozen=True, slots=True)
class Call:
    """One API call: `params` is the JSON object that is signed and sent, without credentials."""

    method: Method
    endpoint: str
    params: Mapping[str, Any]

    @property
    def bucket(self) -> str:
        """The name of its rate limit, `POST /purchase`: Sailthru counts per method and endpoint."""
        return f"{self.method} {self.endpoint}"

    @property
    def is_pageview(self) -> bool:
        return self.endpoint == PAGEVIEW_ENDPOINT

    @property
    def profile(self) -> str:
        """Whose profile it is about, as `KEY ID`."""
        return f"{self.params.get('key')} {self.params.get('id')}"

    @property
    def address(self) -> str | None:
        """The email that it gives or names a user by, None without one."""
        keys = self.params.get("keys")
        named = self.params.get("id") if self.params.get("key") == "email" else None
        given = keys.get("email") if isinstance(keys, Mapping) else None
        found = self.params.get("email") or given or named
        return found if isinstance(found, str) else None

    def as_json(self) -> dict[str, Any]:
        """The shape `sailpipe map --json` and dead letters show."""
        return {"method": self.method, "endpoint": self.endpoint, "params": dict(self.params)}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that comes with a call, as a part of the form beside the signed ones (reference: sailthru-api 1)."""

    field: str
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class HandedCall(Call):
    """The call of another program, which is handed on: its parameters leave as the text they came as.

    text: the JSON text of `params`. reply_format: in what Sailthru is to answer, `json` or `xml`.
    """

    text: str = "{}"
    reply_format: str = "json"
    upload: Upload | None = None
