#!lua flags=allow-oom
-- Say that a batch is to be cancelled; a courier does it. Safe to send twice.
-- @key batch hash the batch
-- @arg prefix string prefix of every key
-- @arg id string the batch
-- @arg owner string whose it is
-- @derives batches
-- @returns {0}; {-23} no such batch, or somebody else's; {-25} it has ended, or is about to
local v = redis.call('HMGET', KEYS[1], 'owner', 'status', 'token')
if v[1] ~= ARGV[3] then return {-23} end
if v[2] == 'cancelling' then return {0} end
if v[2] ~= 'validating' and v[2] ~= 'in_progress' then return {-25} end
redis.call('HSET', KEYS[1], 'status', 'cancelling', 'cancelling_at', now)
-- One that is a courier's is left to it: it notices with its next write.
if v[3] == '' then redis.call('ZADD', key('batches'), now, ARGV[2]) end
return {0}
