#!lua flags=allow-oom
-- Say when objects may be deleted. One that was taken for deletion stays taken.
-- @arg prefix string prefix of every key
-- @arg names json their names
-- @arg in_ms ms from now; 0: at once, else not sooner than was said before
-- @derives objects
-- @returns {0}
local in_ms = tonumber(ARGV[3])
for _, name in ipairs(cjson.decode(ARGV[2])) do
  if in_ms == 0 then
    redis.call('ZADD', key('objects'), 'XX', now, name)
  else
    redis.call('ZADD', key('objects'), 'XX', 'GT', now + in_ms, name)
  end
end
return {0}
