#!/bin/sh
# Events into sailpipe by redis-cli (7.0 or newer, for -e). Prints the ids of the entries.
#   SAILPIPE_REDIS_URL=redis://127.0.0.1:6379/0 sh examples/xadd.sh
set -eu

# The address, or what `sailpipe up` left in its folder.
url="${SAILPIPE_REDIS_URL:-$(cat .sailpipe/redis.url)}"

# With -e this ends with 1 when Redis refuses, because its memory is full, say: try again later.
xadd() {
  redis-cli -e --no-auth-warning -u "$url" "$@"
}

xadd XADD sailpipe:raw '*' event \
  '{"type": "identify", "userId": "cli-1", "messageId": "cli-a", "traits": {"email": "zoe@example.com", "firstName": "Zoë"}}'

# -x takes the last argument from stdin, so that a quote in an event needs no care. Labels come before it.
printf '%s' '{"type": "track", "userId": "cli-1", "messageId": "cli-b", "event": "Joined Zoë'\''s Club"}' |
  xadd -x XADD sailpipe:raw '*' class bulk event
