"""From the raw stream to the mailboxes: validate, drop duplicates, route, learn, post."""
