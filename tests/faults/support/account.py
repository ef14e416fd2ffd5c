"""What Redis says of the account whose pipeline a fault test breaks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from pipeline.counters import BESIDE
from pipeline.deadletters.letter import Letter
from pipeline.events.models import Lane
from pipeline.storage import keys
from tests.faults.support.verdict import Counts
from tests.support.commands import wait_until

ACCOUNT = "default"
Box: TypeAlias = tuple[str, str]
"""A mailbox: its lane and its name."""
PATIENCE_S = 120.0
"""What two processes in a row died with is leased one mailbox at a time, and there may be many."""


class Held(NamedTuple):
    """A mailbox as its owner has it: the claim's token, and the entry it begins with."""

    token: bytes | None
    head: bytes | None


@dataclass
class Account:
    """Reads the account's keys as they are now."""

    client: Any

    def counts(self) -> Counts:
        """The account's counters; what a mailbox holds is counted from the lists themselves."""
        found = Counts(waiting=self.client.xlen(keys.RAW) + self.client.xlen(keys.HELD))
        for name, value in self.client.hgetall(keys.counts(ACCOUNT)).items():
            kind = name.decode().partition(":")[0]
            if kind not in BESIDE:
                setattr(found, kind, getattr(found, kind) + int(value))
        return found

    def held(self, lane: str, box: str) -> Held:
        """A mailbox's claim and first entry; None for what there is not."""
        with self.client.pipeline(transaction=True) as pipe:  # or it may be settled in between
            pipe.hget(keys.mailbox_state(ACCOUNT, lane, box), "token")
            pipe.lindex(keys.mail(ACCOUNT, lane, box), 0)
            return Held(*pipe.execute())

    def claimed(self) -> dict[Box, Held]:
        """Every mailbox that has an owner and is not empty, by lane and name."""
        boxes = (
            (str(lane), box.decode())
            for lane in Lane
            for box in self.client.zrange(keys.leased(ACCOUNT, lane), 0, -1)
        )
        return {box: held for box in boxes if all(held := self.held(*box))}

    def wait_until_taken_up(self, claimed: dict[Box, Held], within_s: float = PATIENCE_S) -> None:
        """Return when each of these was settled or has another owner."""
        left = dict(claimed)

        def taken_up() -> bool:
            for box, before in list(left.items()):
                now = self.held(*box)
                if now.head != before.head or now.token not in (None, before.token):
                    del left[box]
            return not left

        wait_until(taken_up, "all that was claimed then is settled or has another owner", within_s)

    def wait_until_gone_on(self, claimed: dict[Box, Held]) -> None:
        """Return when the first event of each of these has been settled."""

        def gone_on() -> bool:
            return all(self.held(*box).head != before.head for box, before in claimed.items())

        wait_until(gone_on, "what was claimed then is settled", PATIENCE_S)

    def attempts_used(self) -> int:
        """Attempts that count against the events in all mailboxes."""
        states = self.client.scan_iter(f"{keys.account_prefix(ACCOUNT)}box:*")
        states = (
            json.loads(value)
            for state in states
            for name, value in self.client.hgetall(state).items()
            if name.startswith(b"s:")
        )
        return sum(state["tried"] for state in states)

    def gates(self, scope: str) -> dict[str, Any]:
        """The reasons why a scope's gate is closed, each with its closure."""
        closures = self.client.hgetall(keys.gates(ACCOUNT, scope))
        return {name.decode(): json.loads(closure) for name, closure in closures.items()}

    def settled(self) -> bool:
        """Nothing waits, and nothing is leased."""
        return self.counts().waiting == 0 and not any(
            self.client.exists(key(ACCOUNT, lane))
            for key in (keys.due, keys.due_bulk, keys.leased)
            for lane in Lane
        )

    def wait_settled(self, deadline_s: float = 90.0) -> None:
        """Return when every accepted event is delivered, dead, ignored, a duplicate or removed."""
        wait_until(self.settled, "everything is settled", deadline_s)

    def wait_split(self) -> None:
        """Return when the raw stream is empty: every event lies in a mailbox, or is through."""
        wait_until(lambda: not self.client.xlen(keys.RAW), "the raw stream is split")

    def dead(self) -> dict[str, str]:
        """Dead letters: id -> reason."""
        names = [name.decode() for name in self.client.hkeys(keys.dead(ACCOUNT))]
        return {name: self.letter(name).header.reason for name in names}

    def letter(self, name: str) -> Letter:
        """The dead letter of this id."""
        return Letter.read(ACCOUNT, name, self.client.hget(keys.dead(ACCOUNT), name))

    def left_over(self) -> list[bytes]:
        """Keys of mailboxes, claims and leases; none when everything is settled."""
        prefix = keys.account_prefix(ACCOUNT)
        parts = ("mail", "state", "due", "bulk", "leased")
        return [key for part in parts for key in self.client.scan_iter(f"{prefix}{part}:*")]
