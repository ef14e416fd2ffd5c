"""Mailboxes: where a user's events wait in order, and the scripts that lease them to one owner."""
