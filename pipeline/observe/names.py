"""The names of all log events. Alerts are built on them: add, never rename.

A name that is not here does not type-check (`pipeline.observe.logs.log_event`).
"""

from __future__ import annotations

from typing import Literal, TypeAlias

LogEvent: TypeAlias = Literal[
    # A gate closed, and an operator should know: account, scope, reason, detail.
    "gate_closed",
    # A gate could not be closed or opened because Redis is away: account, error class.
    "gate_unwritten",
    # A process begins its work: role, version, target, redis (without its password), and its address (HTTP) or queues.
    "process_started",
    # Requests were refused at the door, said once a minute while there are any: requests, codes.
    "requests_refused",
    # A person is told of something (docs/alerts.md), or would be if ALERT_URL were set: kind, account, scope, detail.
    "alert_raised",
    # It is over: kind, account, scope.
    "alert_resolved",
    # An alert could not be posted to ALERT_URL, and will be posted again. Logged once a minute: error class or HTTP status.
    "alert_failed",
    # A gate lost a reason: account, scope, reason.
    "gate_opened",
    # An operator changed something over HTTP: account, who (how they logged in), verb, count.
    "operator_acted",
    # Lines of a kind that come more than thirty times in a minute were left out: lines, kinds (our events, loggers of
    # libraries). Said a minute after the first of them.
    "lines_left_out",
    # An event became a dead letter: account, lane, its messageId, reason. Never the user.
    "event_died",
    # A mailbox' claim was lost to another owner before it was settled: account, lane.
    "claim_lost",
    # The splitter stood still for longer than its lease, which another splitter has now: component.
    "lease_lost",
    # A worker's loop stood still for a whole lease; its process ends: loop.
    "loop_hung",
    # Redis does not answer, or refuses to write: component, error class, trouble (as storage/redis_errors.py names it).
    "redis_away",
    # Redis answers again: component, seconds it was away.
    "redis_back",
    # Redis is out of memory: producers are refused, workers still deliver, which frees memory. Logged once a minute.
    "redis_full",
    # A lane's mailboxes could not be leased, and Redis is well. Logged once a minute: account, lane, error class.
    "wake_failed",
    # Sailthru answered 429 or error 43: account, bucket.
    "throttled",
    # Reading the answer to a call raised an unexpected error; the call counts as unanswered: bucket, error class.
    "answer_unread",
    # Sailthru refused an API key beside which another is listed; that one is used from now on: bucket.
    "api_key_changed",
    # Sailthru's headers allow less than our limit, logged once a minute: account, bucket, calls_per_s.
    "slowed_by_headers",
    # An event waits or failed and stays in its mailbox: account, lane, its messageId, why. At DEBUG: nothing has failed, it
    # waits for its person's email, for its user, for another order or for its turn (`sailpipe waiting`).
    "event_waits",
    # Events became dead letters as they were split, said once a minute while there are any: events, accounts.
    "split_died",
    # A batch of raw entries failed and is split one by one: entries, error class.
    "split_batch_failed",
    # A raw entry ended every process that split it and is a dead letter: account, entry.
    "split_poison",
    # Leases could not be renewed; calls do not begin until they are: claims, error class.
    "renew_failed",
    # An account's events wait, since it belongs to another target than this process delivers to, or an adopt or
    # reset has not come to its end. Logged once a minute: account, owner, target, fix.
    "foreign_target",
    # A wake-up or an event names an account that is not in this process's settings; its mailboxes are left to the processes
    # that know it, its events wait for a splitter that does. Said once a process: account, fix.
    "account_unknown",
    # An account that was served here is in the settings no more, and has events or dead letters. Said when a worker
    # starts: account, waiting, letters, fix.
    "account_removed",
    # Redis holds data of another version; the worker ends: detail.
    "format_refused",
    # A delivery ended without settling; its lease runs out: lane, error class.
    "delivery_unsettled",
    # Dead letters past DEAD_KEEP were removed: account, letters.
    "dead_letters_expired",
    # There were more than DEAD_MAX dead letters, and some were removed before their time, at ERROR: account,
    # letters, how many of them orders or refunds, DEAD_MAX.
    "dead_letters_trimmed",
    # A step of a replay job failed in Redis, which is well; it is tried again: error class.
    "jobs_failed",
    # A replay stopped itself, since its letters died again of the same cause: account, job, again, sent.
    "replay_stopped",
    # Many orders of a day had the id of another order, said once a day: account, orders.
    "order_ids_reused",
    # Outcomes were not written to the log that `sailpipe trace` reads; delivery goes on. Said once a minute: error class.
    "outcomes_lost",
    # The HTTP server closed connections whose requests did not come whole in time, or that were too many. Said once
    # a minute: connections.
    "senders_cut_off",
    # The waker, the splitter or another part a worker cannot do without failed, and the worker ends: part, error class, where.
    "part_failed",
    # The splitter process of a worker ended, or cannot be started, and is started again: part, detail.
    "child_ended",
    # A splitter that stopped could not nudge those that stand by, which take over a second later: error class.
    "nudge_failed",
    # Calls were still in flight when the time to stop was over: mailboxes.
    "stop_timed_out",
    # The process was still alive EXIT_WITHIN_S after a stop signal and was killed, for example because Celery
    # blocked on a hung Redis.
    "exit_forced",
]
