"""Rules by which a way in drops what is no event worth delivering. Each counts what it drops under a reason of its own.

`bots` looks at a text and does no I/O. `once` remembers in Redis what was taken, and appends in the same step. Neither
knows how a request is written: a way in says which user agent, order id or person it read.
"""
