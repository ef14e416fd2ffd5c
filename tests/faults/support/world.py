"""A whole pipeline to break: a real Redis, a recording sandbox, worker processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pipeline.lanes import PAGEVIEW_ENDPOINT
from pipeline.producer import Producer
from pipeline.raw_entries import Labels
from pipeline.sandbox.faults import Fault, FaultKind
from pipeline.sandbox.options import SandboxOptions
from pipeline.settings import AccountSettings, load_settings
from pipeline.storage.redis_client import open_redis
from tests.faults.support.account import ACCOUNT, Account
from tests.faults.support.crew import Crew
from tests.faults.support.sandbox import Effect, Listening, RecordingApp
from tests.faults.support.verdict import (
    Verdict,
    cart_steps,
    differences,
    doubled_orders,
    expected_of,
    out_of_order,
    repeated,
    settled_end,
    unplanned_carts,
)
from tests.support.commands import wait_until
from tests.support.redis_server import RedisServer

RATE = 400
BUCKETS = ("POST /event", "POST /purchase", f"POST {PAGEVIEW_ENDPOINT}", "GET /purchase")
QUICK = {
    "SAILPIPE_LIMITS": ",".join(f"{bucket}={RATE}" for bucket in BUCKETS),
    "SAILPIPE_HTTP_TIMEOUT": "2s",
    "SAILPIPE_LEASE": "6s",
    "SAILPIPE_READ_LAG": "1s",
    "SAILPIPE_RETRY_FIRST": "0.2s",
    "SAILPIPE_RETRY_MAX": "2s",
}
"""The documented durations divided by a few, and limits that a test need not wait for."""
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(kw_only=True)
class World(Account):
    """What a fault test breaks, and the judgement of what was left."""

    server: RedisServer
    app: RecordingApp
    sailthru: Listening
    crew: Crew
    environment: Mapping[str, str]
    report: Callable[[Verdict], None]
    sent: list[bytes] = field(default_factory=list)
    faulty_since: float | None = None
    recovered_s: float | None = None

    @property
    def settings(self) -> AccountSettings:
        return load_settings(self.environment).account(ACCOUNT)

    @property
    def effects(self) -> list[Effect]:
        """What Sailthru has taken, in order."""
        return self.app.sandbox.effects

    def send(self, raws: Sequence[bytes]) -> None:
        """Have these accepted, in order."""
        Producer(self.client).send_many(raws, Labels(ACCOUNT))
        self.sent += raws

    def fault(self, kind: FaultKind, **rule: object) -> Fault:
        """Make the sandbox misbehave from now on."""
        fault = Fault.from_json({"kind": kind, **rule})
        self.app.faults.add(fault)
        return fault

    def began(self) -> None:
        """The fault strikes now or, if it lasts, ends now."""
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
        buried = [self.letter(one).raw for one in besides]
        expected = expected_of([raw for raw in self.sent if raw not in buried], self.settings)
        counts = self.counts()
        missing = expected.origins - {one.origin for one in self.effects if one.origin}
        disorder = out_of_order(self.effects, may_repeat=may_repeat)
        disorder += unplanned_carts(cart_steps(self.effects), expected.carts, may_repeat=may_repeat)
        verdict = Verdict(
            fault=fault,
            events=len(self.sent),
            counts=counts,
            lost=len(missing) + abs(len(self.sent) - counts.total),
            doubled_orders=doubled_orders(self.effects),
            out_of_order=len(disorder),
            repeated=repeated(self.effects),
            recovery_s=self.recovered_s,
            remark=remark,
        )
        self.report(verdict)
        failed = [worker.log for worker in self.crew.workers if "part_failed" in worker.log]
        assert not failed, "a worker ended by itself; that it is started again hides it"
        wrong = dict(self.dead().items() ^ {**expected.dead, **besides}.items())
        assert wrong == {}, wrong
        assert (verdict.lost, verdict.doubled_orders) == (0, 0), (verdict, missing)
        assert disorder == [], [*disorder, *self.calls_about(disorder)]
        assert (counts.waiting, counts.removed) == (0, 0)
        settled = (counts.delivered, counts.ignored, counts.duplicates)
        assert settled == (expected.delivered, expected.ignored, expected.duplicates)
        end = settled_end(self.app.sandbox)
        wrong_ends = differences(end, expected.end)
        assert end == expected.end, [*wrong_ends, *self.calls_about(wrong_ends)]
        assert may_repeat or verdict.repeated == 0, verdict
        assert self.left_over() == []
        return verdict

    def calls_about(self, wrong_ends: Sequence[str]) -> list[str]:
        """The cart and order calls, in order, of everyone whose end is wrong."""
        return [
            f"{one.at:.3f} {one.params}"
            for one in self.effects
            if (email := one.params.get("email")) and any(f"'{email}'" in end for end in wrong_ends)
        ]

    def record(self, fault: str, sent: Sequence[object]) -> None:
        """Add a line for what has no equal to be compared with, and insist on what needs none."""
        counts = self.counts()
        verdict = Verdict(
            fault=fault,
            events=len(sent),
            counts=counts,
            lost=abs(len(sent) - counts.total),
            doubled_orders=doubled_orders(self.effects),
            out_of_order=len(out_of_order(self.effects, may_repeat=False)),
            repeated=repeated(self.effects),
            recovery_s=self.recovered_s,
        )
        self.report(verdict)
        assert (verdict.lost, verdict.doubled_orders, verdict.out_of_order) == (0, 0, 0), verdict
        assert (verdict.repeated, counts.waiting, self.left_over()) == (0, 0, []), verdict


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
                yield World(
                    client=client,
                    server=server,
                    app=app,
                    sailthru=sailthru,
                    crew=crew,
                    environment=environment,
                    report=report,
                )
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
