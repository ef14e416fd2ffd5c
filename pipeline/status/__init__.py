"""How an installation stands: one reading of Redis, for the command line, HTTP and the console.

report puts together what accounts, lanes (lanes.py), the raw stream (raw.py) and gates say.
"""
