"""Rate limits: when may the next call leave? `limiter.Limiter` is what delivery talks to.

limits (the numbers) -> slots (the algorithm, pure) -> store_memory | store_redis -> pacer (one
process's queue) -> limiter. feedback reads Sailthru's headers.
"""
