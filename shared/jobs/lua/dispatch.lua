#!lua flags=allow-oom
-- A courier is there: how many deliveries are due? Puts among them what a version without webhooks has ended.
-- @arg prefix string prefix of every key
-- @arg courier string who asks
-- @arg live_ms ms a courier that was not heard of for so long is gone
-- @arg look_ms ms how often an unfinished job is looked at
-- @arg most count most jobs to look at
-- @derives couriers, hooked, deliveries, job
-- @returns {0, due}
redis.call('ZADD', key('couriers'), now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', key('couriers'), '-inf', now - tonumber(ARGV[3]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('hooked'), '-inf', now, 'LIMIT', 0, ARGV[5])) do
  local job = read(id)
  if job and is_live(job) then
    redis.call('ZADD', key('hooked'), now + ARGV[4], id)
  else
    redis.call('ZREM', key('hooked'), id)
    if job then redis.call('ZADD', key('deliveries'), now, id) end
  end
end
return {0, redis.call('ZCOUNT', key('deliveries'), '-inf', now)}
