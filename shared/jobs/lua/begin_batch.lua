#!lua
-- Make a batch of a file, or find the one that this call repeats.
-- @key batch hash the batch to make
-- @arg prefix string prefix of every key
-- @arg id string its id
-- @arg owner string whose it is
-- @arg file string the file of its lines
-- @arg fields json what is known of it
-- @arg max_unfinished count most unfinished batches of an owner
-- @arg window_ms ms when it expires
-- @arg replay_key string key of the caller's Idempotency-Key; empty: none
-- @arg replay_ttl_ms ms how long that key replays this batch
-- @arg body_digest string digest of the request body
-- @derives file, objects, batches, unfinished_batches, batch, order
-- @returns {0, id}; {-6} the Idempotency-Key has another body, {-20} no such file, {-24} the owner has too many
local id, owner, file, window_ms = ARGV[2], ARGV[3], key('file', ARGV[4]), tonumber(ARGV[7])
if redis.call('EXISTS', KEYS[1]) == 1 then return {0, id} end  -- this very call, repeated by the client library
if ARGV[8] ~= '' then
  local found = redis.call('GET', ARGV[8])
  local earlier = found and string.match(found, '^%S+')
  if found and found ~= earlier .. ' ' .. ARGV[10] then return {-6} end
  if found and redis.call('EXISTS', key('batch', earlier)) == 1 then return {0, earlier} end
end
if redis.call('HGET', file, 'owner') ~= owner then return {-20} end
if redis.call('ZCARD', key('unfinished_batches', owner)) >= tonumber(ARGV[6]) then return {-24} end
local flat = {'owner', owner, 'input_file_id', ARGV[4], 'status', 'validating', 'created_at', now,
  'expires_at', now + window_ms, 'line', 0, 'offset', 0, 'total', 0, 'completed', 0, 'failed', 0, 'token', ''}
for name, value in pairs(cjson.decode(ARGV[5])) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
local order = redis.call('INCR', key('order'))
redis.call('ZADD', key('batches'), now, id)
redis.call('ZADD', key('batches', owner), order, id)
redis.call('ZREMRANGEBYRANK', key('batches', owner), 0, -1001)
redis.call('PERSIST', key('batches', owner))
redis.call('ZADD', key('unfinished_batches', owner), order, id)
-- The file stays until the batch has ended, whatever was said of it: its lines are read to the end, and once more.
redis.call('HINCRBY', file, 'readers', 1)
redis.call('PERSIST', file)
redis.call('ZADD', key('objects'), 'GT', now + window_ms + 7 * 24 * 3600000, 'files/' .. ARGV[4])
if ARGV[8] ~= '' then redis.call('SET', ARGV[8], id .. ' ' .. ARGV[10], 'PX', ARGV[9]) end
return {0, id}
