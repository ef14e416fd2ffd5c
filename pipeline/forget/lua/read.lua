-- A part of a stream of raw entries.
-- KEYS[2] the stream
-- ARGV    id to begin at, most entries
-- Returns the entries
return read_stream(KEYS[2], ARGV[1], '+', tonumber(ARGV[2]))
