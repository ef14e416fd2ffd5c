"""Whether a text is one deliverable address, and where an object holds one. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.text import mend_id

_EMAIL_CHAR = r"@\s\x00-\x1f\x7f\ud800-\udfff\ufffd<>()\[\]\\,;:" + '"'
"""What is in no address: blanks, and what stands around one in a list, a link or a mail's header."""
_LABEL = f"[^.{_EMAIL_CHAR}]+"
_EMAIL = re.compile(f"[^{_EMAIL_CHAR}]{{1,64}}@(?=.{{1,255}}$){_LABEL}(?:\\.{_LABEL})+")


def is_email(text: str) -> bool:
    """Whether this looks like one deliverable address: there is a dot in its domain, and nothing around it.

    `ann+shop@example.com` and addresses in other scripts are fine; nothing is looked up.
    """
    return _EMAIL.fullmatch(text) is not None


def email_in(place: object) -> str | None:
    """`email` of an object, mended; None when it is no deliverable address, or the place no object."""
    return read_email(place.get("email")) if isinstance(place, Mapping) else None


def read_email(value: object) -> str | None:
    """A deliverable address as it was written, mended; None when it is nothing or none."""
    if not isinstance(value, str):
        return None
    mended = value.strip() if value.isprintable() else mend_id(value)
    return mended if is_email(mended) else None
