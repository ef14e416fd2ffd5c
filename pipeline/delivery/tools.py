"""What delivering for one account takes."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.clock import Clock, Random
from pipeline.delivery.brake import Brake
from pipeline.delivery.caller import Caller
from pipeline.delivery.loans import Loans
from pipeline.delivery.outages import Outages
from pipeline.mailbox.store import MailboxStore
from pipeline.settings import AccountSettings


@dataclass(frozen=True, slots=True)
class Tools:
    """Made once a process and account; everything in it is shared by all claims."""

    settings: AccountSettings
    store: MailboxStore
    caller: Caller
    outages: Outages
    brake: Brake
    loans: Loans
    clock: Clock
    random: Random
