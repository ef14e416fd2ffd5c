"""The names of all log events. Alerts are built on them: add, never rename.

A name that is not here does not type-check (`pipeline.observe.logs.log_event`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

LogEvent: TypeAlias = Literal[
    # A gate closed, and a person should know: account, scope, reason, detail.
    "gate_closed",
    # A gate could not be closed or opened because Redis is away: account, error class.
    "gate_unwritten",
    # An alert could not be posted to ALERT_URL: account, kind, error class or HTTP status.
    "alert_failed",
    # A gate lost a reason: account, scope, reason.
    "gate_opened",
    # An event became a dead letter: account, lane, reason. Never whose.
    "event_died",
    # A mailbox' claim was lost to another owner before it was settled: account, lane.
    "claim_lost",
    # The splitter stood still for longer than its lease and another has it: component. It stands by.
    "lease_lost",
    # A worker's loop stood still for a whole lease; its process ends: loop.
    "loop_hung",
    # Redis does not answer: component, error class.
    "redis_away",
    # Redis answers again: component, seconds it was away.
    "redis_back",
    # Redis is out of memory: producers are refused, workers deliver what makes room. Said once a minute.
    "redis_full",
    # A lane's mailboxes could not be leased, and Redis is well. Said once a minute: account, lane, error class.
    "wake_failed",
    # Sailthru answered 429 or error 43: account, bucket.
    "throttled",
    # The answer to a call that had left raised an error that nothing foresaw, and counts as none: bucket, error class.
    "answer_unread",
    # Sailthru's headers leave us less than our limit, said once a minute: account, bucket, calls_per_s.
    "slowed_by_headers",
    # An event waits or failed and stays in its mailbox: account, lane, why. At DEBUG: nothing was tried.
    "event_waits",
    # A batch of raw entries failed and is split one by one: entries, error class.
    "split_batch_failed",
    # A raw entry ended every process that split it and is a dead letter: account, entry.
    "split_poison",
    # Leases could not be renewed; calls do not begin until they are: claims, error class.
    "renew_failed",
    # An account's events wait, since it belongs to another target than this process delivers to, or an adopt or
    # reset has not come to its end. Said once a minute: account, owner, target, fix.
    "foreign_target",
    # Redis holds data of another version; the worker ends: detail.
    "format_refused",
    # A delivery ended without settling; its lease runs out: lane, error class.
    "delivery_unsettled",
    # Dead letters past DEAD_KEEP were removed: account, letters.
    "dead_letters_expired",
    # There were more than DEAD_MAX dead letters, and some were removed before their time, at ERROR: account,
    # letters, how many of them orders or refunds, DEAD_MAX.
    "dead_letters_trimmed",
    # The HTTP server closed connections whose requests did not come whole in time, or that were too many. Said once
    # a minute: connections.
    "senders_cut_off",
    # The waker, the splitter or another part a worker cannot do without failed, and the worker ends: part, error class, where.
    "part_failed",
    # Calls were still in flight when the time to stop was over: mailboxes.
    "stop_timed_out",
    # The process was still alive EXIT_WITHIN_S after a stop signal and was killed, for example because Celery
    # blocked on a hung Redis.
    "exit_forced",
]
