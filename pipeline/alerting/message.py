"""How an alert reads: our own JSON, or what ALERT_TEMPLATE makes of it. No I/O."""

from __future__ import annotations

import json
from string import Template

from pipeline.alerting.rules import TICKETS, Trouble
from pipeline.alerting.told import State
from pipeline.clock import iso
from pipeline.settings.values import ALERT_NAMES


def fields_of(trouble: Trouble, state: State) -> dict[str, str]:
    """Every word of an alert. `action` is PagerDuty's for `state`."""
    where = f"{trouble.account} {trouble.scope}".strip()
    is_over = " is over" if state == "resolved" else ""
    return {
        "kind": trouble.kind,
        "account": trouble.account,
        "scope": trouble.scope,
        "detail": trouble.detail,
        "since": iso(trouble.since_ms),
        "state": state,
        "id": trouble.id,
        "severity": "warning" if trouble.kind in TICKETS else "critical",
        "summary": f"sailpipe: {trouble.kind} ({where}){is_over}. {trouble.detail}",
        "action": "resolve" if state == "resolved" else "trigger",
    }


def body_of(trouble: Trouble, state: State, template: str | None) -> bytes:
    """The JSON that is posted."""
    fields = fields_of(trouble, state)
    if template is None:
        return json.dumps({name: fields[name] for name in ALERT_NAMES if name != "action"}).encode()
    quoted = {name: json.dumps(text)[1:-1] for name, text in fields.items()}
    return Template(template).substitute(quoted).encode()
