#!lua flags=allow-oom
-- Give a courier the delivery that has been due for longest, of an owner who has not too many on their way.
-- @arg prefix string prefix of every key
-- @arg token string the fence of this try; random
-- @arg lease_ms ms how long the try is the courier's; then it is due again
-- @arg most_of_an_owner count most tries of one owner at a time
-- @derives deliveries, delivering, job
-- @returns {0}: nothing that could be tried is due; {0, id, attempts, now} attempts with this one
local token, lease_ms, most = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local looked_at = 1000  -- deliveries that are due

-- Whether an end of this sort is to be told.
local function is_wanted(job, hook)
  for _, event in ipairs(hook.events) do
    if event == 'job.' .. job.status then return true end
  end
  return false
end

local function is_busy(owner)
  redis.call('ZREMRANGEBYSCORE', key('delivering', owner), '-inf', now)
  return redis.call('ZCARD', key('delivering', owner)) >= most
end

local function try(job)
  local record = key('job', job.id)
  local delivery = cjson.decode(redis.call('HGET', record, 'delivery') or '{"attempts":0}')
  delivery.attempts, delivery.last_attempt_at = delivery.attempts + 1, now
  delivery.state, delivery.next_attempt_at = 'pending', nil
  redis.call('HSET', record, 'delivery', cjson.encode(delivery), 'delivery_token', token)
  redis.call('ZADD', key('deliveries'), now + lease_ms, job.id)
  redis.call('ZADD', key('delivering', job.owner), now + lease_ms, job.id)
  redis.call('PEXPIRE', key('delivering', job.owner), 2 * lease_ms)
  return {0, job.id, delivery.attempts, now}
end

local busy = {}
local due = redis.call('ZRANGEBYSCORE', key('deliveries'), '-inf', now, 'LIMIT', 0, looked_at)
for _, id in ipairs(due) do
  local job = read(id)
  local hook = job and redis.call('HGET', key('job', id), 'webhook')
  if not hook or is_live(job) or not is_wanted(job, cjson.decode(hook)) then
    redis.call('ZREM', key('deliveries'), id)
  else
    if busy[job.owner] == nil then busy[job.owner] = is_busy(job.owner) end
    if not busy[job.owner] then return try(job) end
  end
end
-- All of them are of owners who have enough on their way: let others come to the front.
if #due == looked_at then
  for i, id in ipairs(due) do redis.call('ZADD', key('deliveries'), 'XX', now + 1000 + i, id) end
end
return {0}
