"""From the raw stream to the mailboxes: validate, drop duplicates, route, link ids, post."""
