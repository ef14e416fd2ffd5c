"""From a claimed mailbox to Sailthru and back: the one place that decides what becomes of an event."""
