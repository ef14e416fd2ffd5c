"""The story behind shop-day.jsonl: who comes, what they do, and what becomes of each event."""
