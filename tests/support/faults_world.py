"""A whole pipeline to break: a real Redis, a recording sandbox, worker processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline import keys
from pipeline.events import Lane
from pipeline.producer import Producer
from pipeline.redis_client import open_redis
from pipeline.sailthru.calls import PAGEVIEW_ENDPOINT
from pipeline.sandbox.faults import Fault, FaultKind
from pipeline.sandbox.options import SandboxOptions
from pipeline.settings import AccountSettings, load_settings
from tests.support.commands import wait_until
from tests.support.faults_crew import Crew
from tests.support.faults_sandbox import Listening, RecordingApp
from tests.support.faults_verdict import (
    Counts,
    Verdict,
    differences,
    doubled_orders,
    expected_of,
    out_of_order,
    repeated,
    settled_end,
)
from tests.support.redis_server import RedisServer

ACCOUNT = "default"
RATE = 400
BUCKETS = ("POST /event", "POST /purchase", f"POST {PAGEVIEW_ENDPOINT}", "GET /purchase")
QUICK = {
    "SAILPIPE_LIMITS": ",".join(f"{bucket}={RATE}" for bucket in BUCKETS),
    "SAILPIPE_HTTP_TIMEOUT": "2s",
    "SAILPIPE_LOAN": "6s",
    "SAILPIPE_READ_LAG": "1s",
    "SAILPIPE_RETRY_FIRST": "0.2s",
    "SAILPIPE_RETRY_MAX": "2s",
}
"""The documented durations divided by a few, and limits that a test need not wait for."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class World:
    """What a fault test breaks, and the judgement of what was left."""

    server: RedisServer
    app: RecordingApp
    sailthru: Listening
    crew: Crew
    environment: Mapping[str, str]
    client: Any
    report: Callable[[Verdict], None]
    sent: list[bytes] = field(default_factory=list)
    faulty_since: float | None = None
    recovered_s: float | None = None

    @property
    def settings(self) -> AccountSettings:
        return load_settings(self.environment).account(ACCOUNT)

    def send(self, raws: Sequence[bytes]) -> None:
        """Have these accepted, in order."""
        Producer(self.client).send_many((raw, ACCOUNT) for raw in raws)
        self.sent += raws

    def fault(self, kind: FaultKind, **rule: object) -> Fault:
        """Make the sandbox misbehave from now on."""
        fault = Fault.from_json({"kind": kind, **rule})
        self.app.faults.add(fault)
        return fault

    def counts(self) -> Counts:
        """The account's counters now; what a mailbox holds is counted from the lists themselves."""
        found = Counts(waiting=self.client.xlen(keys.RAW))
        for name, value in self.client.hgetall(keys.counts(ACCOUNT)).items():
            kind = name.decode().partition(":")[0]
            setattr(found, kind, getattr(found, kind) + int(value))
        return found

    def lent(self) -> dict[tuple[str, bytes], bytes | None]:
        """Every mailbox that is out, with the token of its claim."""
        return {
            (str(lane), box): self.client.hget(keys.book(ACCOUNT, lane, box.decode()), "token")
            for lane in Lane
            for box in self.client.zrange(keys.out(ACCOUNT, lane), 0, -1)
        }

    def gates(self, scope: str) -> dict[str, Any]:
        """The reasons why a scope's gate is closed, each with its bar."""
        bars = self.client.hgetall(keys.gates(ACCOUNT, scope))
        return {name.decode(): json.loads(bar) for name, bar in bars.items()}

    def began(self) -> None:
        """The fault happens now."""
        self.faulty_since = time.monotonic()

    def recovered(self) -> None:
        """What the fault had stopped goes on; the longest time since `began` is reported."""
        if self.faulty_since is not None:
            passed = time.monotonic() - self.faulty_since
            self.recovered_s = max(passed, self.recovered_s or 0.0)
            self.faulty_since = None

    def calls_seen(self) -> int:
        """How many requests the sandbox has answered or spoilt."""
        return self.app.sandbox.state.calls_seen

    def wait_for_calls(self, more: int, deadline_s: float = 60.0) -> None:
        """Return when so many further calls have come in."""
        target = self.calls_seen() + more
        wait_until(lambda: self.calls_seen() >= target, f"{more} more calls", deadline_s)

    def wait_until_quiet(self, quiet_s: float = 1.0) -> None:
        """Return when no call has come in for so long, and none is under way."""
        seen, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            if self.calls_seen() != seen or self.app.busy_ports:
                seen, since = self.calls_seen(), time.monotonic()
            return time.monotonic() - since >= quiet_s

        wait_until(quiet, "no more calls")

    def settled(self) -> bool:
        """Nothing waits, and nothing is lent."""
        return self.counts().waiting == 0 and not any(
            self.client.exists(keys.due(ACCOUNT, lane), keys.out(ACCOUNT, lane)) for lane in Lane
        )

    def wait_settled(self, deadline_s: float = 90.0) -> None:
        """Return when every accepted event has met its fate."""
        wait_until(self.settled, "everything is settled", deadline_s)

    def dead(self) -> dict[str, str]:
        """Dead letters: id -> reason."""
        letters = self.client.hgetall(keys.dead(ACCOUNT))
        return {
            name.decode(): json.loads(letter.partition(b"\n")[0])["reason"]
            for name, letter in letters.items()
        }

    def raw_of(self, letter: str) -> bytes:
        """The raw event that a dead letter keeps."""
        blob: bytes = self.client.hget(keys.dead(ACCOUNT), letter) or b""
        return blob.partition(b"\n")[2]

    def judge(
        self,
        fault: str,
        *,
        may_repeat: bool = True,
        besides: Mapping[str, str] = NOTHING,
        remark: str = "",
    ) -> Verdict:
        """Compare with one event after the other, add a line to the report, and insist.

        besides: dead letters of events that no replay would bury, and their reasons.

        may_repeat: calls without an idempotency key may have been made twice (docs/guarantees.md).
        """
        buried = [self.raw_of(one) for one in besides]
        plain = [raw for raw in self.sent if raw not in buried]
        expected = expected_of(plain, self.settings)
        counts, effects = self.counts(), self.app.sandbox.effects
        missing = expected.marks - {one.mark for one in effects if one.mark}
        disorder = out_of_order(effects, may_repeat=may_repeat)
        verdict = Verdict(
            fault=fault,
            events=len(self.sent),
            counts=counts,
            lost=len(missing) + abs(len(self.sent) - counts.total),
            doubled_orders=doubled_orders(effects),
            out_of_order=len(disorder),
            repeated=repeated(effects),
            recovery_s=self.recovered_s,
            remark=remark,
        )
        self.report(verdict)
        wrong = dict(self.dead().items() ^ {**expected.dead, **besides}.items())
        assert wrong == {}, wrong
        assert (verdict.lost, verdict.doubled_orders) == (0, 0), (verdict, missing)
        assert disorder == [], disorder
        assert counts.waiting == 0
        end = settled_end(self.app.sandbox)
        wrong_ends = differences(end, expected.end)
        assert end == expected.end, [*wrong_ends, *self.calls_about(wrong_ends)]
        assert may_repeat or verdict.repeated == 0, verdict
        self.check_empty()
        return verdict

    def calls_about(self, wrong_ends: Sequence[str]) -> list[str]:
        """The cart and order calls, in order, of everyone whose end is wrong."""
        return [
            f"{one.at:.3f} {one.params}"
            for one in self.app.sandbox.effects
            if (email := one.params.get("email")) and any(f"'{email}'" in end for end in wrong_ends)
        ]

    def record(self, fault: str, sent: Sequence[object]) -> None:
        """Add a line for what has no equal to be compared with; the test itself has judged it."""
        counts, effects = self.counts(), self.app.sandbox.effects
        lost = abs(len(sent) - counts.total)
        doubled, disorder = doubled_orders(effects), len(out_of_order(effects, may_repeat=False))
        line = Verdict(fault, len(sent), counts, lost, doubled, disorder, 0, self.recovered_s)
        self.report(line)

    def check_empty(self) -> None:
        """No mailbox, claim or loan is left over."""
        prefix = keys.account_prefix(ACCOUNT)
        left = [
            key
            for part in ("mail", "box", "due", "out")
            for key in self.client.scan_iter(f"{prefix}{part}:*")
        ]
        assert left == []


@contextmanager
def broken_world(
    directory: Path,
    report: Callable[[Verdict], None],
    *,
    append_only: bool = False,
    fsync: str = "everysec",
    redis_environment: Mapping[str, str] = NOTHING,
    options: SandboxOptions | None = None,
    **settings: str,
) -> Iterator[World]:
    """A world without workers: hire them. `settings` as SAILPIPE_* names without the prefix."""
    server = RedisServer(
        directory, append_only=append_only, fsync=fsync, environment=redis_environment
    )
    server.start()
    app = RecordingApp(options or sandbox_options())
    sailthru = Listening(app)
    with sailthru.opened():
        environment = {
            **QUICK,
            "SAILPIPE_REDIS_URL": server.url,
            "SAILPIPE_API_URL": sailthru.url,
            "SAILPIPE_PAGEVIEW_URL": sailthru.url,
            "PYTHONUNBUFFERED": "1",
            **{f"SAILPIPE_{name}": value for name, value in settings.items()},
        }
        crew = Crew(environment, directory)
        try:
            with open_redis(server.url) as client:
                yield World(server, app, sailthru, crew, environment, client, report)
        except BaseException:
            crew.show_logs()
            raise
        finally:
            crew.close()
            server.kill()


def sandbox_options(*, lag_s: float = 0.4, latency_s: float = 0.03) -> SandboxOptions:
    """A Sailthru whose reads lag and which never says too many."""
    buckets = (*BUCKETS, "GET /user", "POST /user")
    limits = dict.fromkeys(buckets, 60 * 10 * RATE)
    return SandboxOptions(lag_s=lag_s, latency_s=latency_s, limits=limits)
