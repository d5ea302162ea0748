#!lua flags=allow-oom
-- Take the names of objects that are to be deleted now. Each is taken again until somebody says that it is gone, and
-- once it was taken no attempt makes it a result.
-- @arg prefix string prefix of every key
-- @arg most count most of them
-- @arg again_ms ms a name that was taken is taken again after this
-- @derives objects, deleting
-- @returns {0, name, …}
local most, again_ms = tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {0}
local function take(name)
  redis.call('ZADD', key('deleting'), now + again_ms, name)
  out[#out + 1] = name
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', key('deleting'), '-inf', now, 'LIMIT', 0, most)) do take(name) end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', key('objects'), '-inf', now, 'LIMIT', 0, most - #out + 1)) do
  redis.call('ZREM', key('objects'), name)
  take(name)
end
return out
