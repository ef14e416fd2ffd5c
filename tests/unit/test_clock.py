"""The machine's clock, by which leases are reckoned."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from pipeline.clock import SystemClock
from pipeline.delivery.leases import Leases
from pipeline.mailbox.claim import Claim

LEASE_S = 12.0
CALL_S = 8.0


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="Linux names this clock")
def test_a_lease_ends_while_its_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine may have the mailbox when this one wakes: it must begin no call under that lease."""
    real, slept_s = time.clock_gettime, 0.0

    def suspended(clock: int) -> float:
        return real(clock) + (slept_s if clock == time.CLOCK_BOOTTIME else 0.0)

    monkeypatch.setattr(time, "clock_gettime", suspended)
    clock = SystemClock()
    leases = Leases(clock, lease_s={"default": LEASE_S})
    with leases.hold(cast("Claim", _Held()), clock.monotonic()) as lease:
        assert leases.is_fresh(lease, CALL_S)
        slept_s = 60.0
        assert leases.is_over(lease, CALL_S)


class _Held:
    """All that a lease asks of its claim."""

    account: Any = "default"
