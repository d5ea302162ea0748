#!lua flags=allow-oom
-- Make a file of an object that is written; one that is there already has other bytes from now on.
-- @key file hash the file
-- @arg prefix string prefix of every key
-- @arg id string its id
-- @arg owner string whose it is
-- @arg object string its name in the store of objects
-- @arg fields json what is known of it: filename, purpose, bytes
-- @arg ttl_ms ms how long it is kept
-- @derives files, objects, order
-- @returns {0}; {-20} the object may have been deleted meanwhile
local id, files, ttl_ms, fields = ARGV[2], key('files', ARGV[3]), tonumber(ARGV[6]), cjson.decode(ARGV[5])
local expires_at = redis.call('HGET', KEYS[1], 'expires_at')
if expires_at then
  redis.call('HSET', KEYS[1], 'bytes', fields.bytes)
  redis.call('ZADD', key('objects'), expires_at + 60000, ARGV[4])
  return {0}
end
if not score(key('objects'), ARGV[4]) then return {-20} end
local flat = {'owner', ARGV[3], 'created_at', now, 'expires_at', now + ttl_ms, 'readers', 0}
for name, value in pairs(fields) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('PEXPIREAT', KEYS[1], now + ttl_ms)
redis.call('ZADD', files, redis.call('INCR', key('order')), id)
redis.call('PEXPIRE', files, ttl_ms, 'NX')
redis.call('PEXPIRE', files, ttl_ms, 'GT')
-- A minute more than it can be asked for: whoever asked in time is still reading.
redis.call('ZADD', key('objects'), now + ttl_ms + 60000, ARGV[4])
return {0}
