"""Redis: connections, the names of all keys, and the one way to run a Lua script.

scripts puts lua/lib.lua before each script and runs it; batcher sends what many tasks ask for in one
round trip; redis_watch logs once that Redis is away and once that it is back.
"""
