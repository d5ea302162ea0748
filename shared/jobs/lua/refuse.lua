#!lua flags=allow-oom
-- Note that a call was refused, so that its retry is given no job of another call with the same body.
-- @arg prefix string prefix of every key
-- @arg owner string whose call
-- @arg body_digest string digest of its body
-- @arg most count most calls that are remembered
-- @arg memory_ms ms how long, from the latest on: longer than any client waits before it tries again
-- @derives refused
-- @returns {0}
local refused = key('refused', ARGV[2])
redis.call('LPUSH', refused, ARGV[3])
redis.call('LTRIM', refused, 0, tonumber(ARGV[4]) - 1)
redis.call('PEXPIRE', refused, ARGV[5])
return {0}
