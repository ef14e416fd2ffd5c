"""From a claimed mailbox to Sailthru and back: the one place that decides an event's fate."""
