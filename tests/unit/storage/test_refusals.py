"""When a script failed over what it was given, and when Redis only refuses to write."""

from __future__ import annotations

import pytest
import redis

from pipeline.storage.scripts import is_own_fault

WHERE = "script: 6c1a, on @user_script:10."


@pytest.mark.parametrize(
    ("error", "is_own"),
    [
        (redis.ReadOnlyError(f"You can't write against a read only replica. {WHERE}"), False),
        (redis.exceptions.MasterDownError(f"Link with MASTER is down. {WHERE}"), False),
        (redis.OutOfMemoryError(f"command not allowed when used memory is high. {WHERE}"), False),
        (redis.ResponseError(f"NOREPLICAS Not enough good replicas to write. {WHERE}"), False),
        (redis.ResponseError(f"MISCONF Errors writing to the AOF file. {WHERE}"), False),
        (redis.ResponseError("ERR Error running script: @user_script:10: -READONLY You"), False),
        (redis.ResponseError(f"user_script:10: attempt to index a nil value {WHERE}"), True),
        (redis.ConnectionError("Connection refused"), False),
    ],
)
def test_a_refusal_to_write_is_no_fault_of_the_script(error: Exception, is_own: bool) -> None:
    """A claim must be settled again until Redis takes it, or its calls are repeated."""
    assert is_own_fault(error) is is_own


def test_a_read_only_server_refuses_in_one_of_these_ways(redis_url: str) -> None:
    """Whichever server this machine has: Redis 6.2 hides the reason in the text, later ones do not."""
    with redis.Redis.from_url(redis_url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(redis.RedisError) as caught:
                client.eval("return redis.call('SET', KEYS[1], '1')", 1, "a")
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")

    assert not is_own_fault(caught.value)
