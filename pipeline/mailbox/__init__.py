"""Mailboxes: where a user's events wait in order, and the scripts that lend them to one owner."""
