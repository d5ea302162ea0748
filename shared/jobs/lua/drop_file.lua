#!lua flags=allow-oom
-- Delete a file; its object is deleted by whoever deletes what has expired.
-- @key file hash the file
-- @arg prefix string prefix of every key
-- @arg id string its id
-- @arg owner string whose it is
-- @arg object string its name in the store of objects
-- @derives files, objects
-- @returns {0}; {-20} there is none, or it is somebody else's; {-22} a batch that has not ended reads it
local v = redis.call('HMGET', KEYS[1], 'owner', 'readers')
if v[1] ~= ARGV[3] then return {-20} end
if tonumber(v[2] or '0') > 0 then return {-22} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', key('files', ARGV[3]), ARGV[2])
redis.call('ZADD', key('objects'), now, ARGV[4])
return {0}
