"""Which processes run, and how fast things go: what each process says of itself in Redis every few seconds.

records has the values, heartbeat writes them, history the samples of counters from which rates are measured.
"""
