"""What a version left in Redis, as files, and what later versions make of it."""
