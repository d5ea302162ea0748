#!lua flags=allow-oom
-- A worker's heartbeat: extend the leases of its running jobs and learn which are no longer its own.
-- @arg prefix string prefix of every key
-- @arg worker string who renews
-- @arg lease_ms ms how long from now
-- @arg models json list of the models it serves
-- @arg held json list of [id, token]
-- @arg about json object: what the worker says of itself
-- @arg reads count the version of the params that it reads, and every earlier one
-- @arg low flag 1: it takes jobs of low priority too
-- @derives job, leases, serving, models, worker
-- @returns {0, {id, reason}, …} reason: cancelled, failed, succeeded (by another attempt), moved, gone
local worker, lease_ms = ARGV[2], tonumber(ARGV[3])
for _, model in ipairs(cjson.decode(ARGV[4])) do
  local queues = ARGV[8] == '1' and {model, queue_of(model, true)} or {model}
  for _, queue in ipairs(queues) do
    for needs = 1, tonumber(ARGV[7]) do
      local serving = key('serving', level(queue, needs))
      redis.call('ZADD', serving, now, worker)
      redis.call('ZREMRANGEBYSCORE', serving, '-inf', now - 604800000)  -- a week
    end
  end
  redis.call('SADD', key('models'), model)
end
redis.call('HSET', key('worker', worker), 'about', ARGV[6], 'seen_at', now)
redis.call('EXPIRE', key('worker', worker), 60)
local out = {0}
for _, pair in ipairs(cjson.decode(ARGV[5])) do
  local job = read(pair[1])
  if job and job.status == 'running' and job.token == pair[2] then
    redis.call('ZADD', key('leases'), 'XX', now + lease_ms, job.id)
  else
    local reason = 'gone'
    if job then reason = (job.status == 'queued' or job.status == 'running') and 'moved' or job.status end
    out[#out + 1] = {pair[1], reason}
  end
end
return out
