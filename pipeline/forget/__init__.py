"""Erases a person from everything that sailpipe keeps in Redis, and proves it.

`Forgetting.plan` finds who is meant and counts what there is, `erase` removes it and returns a `Receipt`, `check` looks again.
One table (`spaces.py`) says of every key where a person may stand in it.
"""
