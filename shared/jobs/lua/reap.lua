#!lua flags=allow-oom
-- Put right what time has undone: requeue or fail jobs whose lease has lapsed, fail jobs past their deadline.
-- @arg prefix string prefix of every key
-- @arg period_ms ms a tick sooner than this after the last one does nothing: one reaper at a time
-- @arg lease_ms ms the length of a lease
-- @arg gap_ms ms after a silence this long nobody could renew: every lease is extended and nothing lapses
-- @arg hold_ms ms after such a silence, how long callers have to say that they are still there
-- @arg most count most jobs of each sort in one tick
-- @derives reaped_at, low_running, leases, deadlines, held, holders, owed, results, result_bytes, job, queue, newer, lanes, lane, idle, backlog, unfinished, done, moved, dead, models, serving, counts, input, inputs, input_bytes, hooked, deliveries
-- @returns {0, requeued, lost, expired, abandoned, {{id, attempt, worker, claimed_at, now, request_id, trace}, …}, {model, needs, queued, live workers, low}, …} first each attempt whose lease lapsed; how many queued jobs need which version of the params, and how many workers read it, low 1: of those of low priority, and of the workers that take such; {0} where it was not this call's turn
local period_ms, lease_ms, gap_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local hold_ms, most = tonumber(ARGV[5]), tonumber(ARGV[6])
local last = tonumber(redis.call('GET', key('reaped_at')) or now - period_ms)
if now - last < period_ms then return {0} end
redis.call('SET', key('reaped_at'), now)
local requeued, lost, expired, abandoned, lapsed = 0, 0, 0, 0, {}

local function lose(job)
  local v = redis.call('HMGET', key('job', job.id), 'request_id', 'trace')
  lapsed[#lapsed + 1] = {job.id, job.attempt, job.worker, job.started_at, now, v[1] or '', v[2] or ''}
  job.losses = job.losses + 1
  redis.call('HSET', key('job', job.id), 'losses', job.losses)
  remember(job, 'worker_lost', '')
  if job.losses < job.max_attempts then
    requeue(job)
    count(job.model, 'attempts', 'requeued')
    requeued = requeued + 1
  else
    conclude(job, 'failed', 'worker_lost', 'Every worker that ran this job was lost.')
    redis.call('XADD', key('dead'), 'MAXLEN', '~', 1000, '*', 'id', job.id, 'model', job.model, 'owner', job.owner)
    lost = lost + 1
  end
end

if now - last > gap_ms then
  for _, id in ipairs(redis.call('ZRANGE', key('leases'), 0, -1)) do
    redis.call('ZADD', key('leases'), 'GT', now + lease_ms, id)
  end
  for _, id in ipairs(redis.call('ZRANGE', key('held'), 0, -1)) do
    redis.call('ZADD', key('held'), 'GT', now + hold_ms, id)
  end
else
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('leases'), '-inf', now, 'LIMIT', 0, most)) do
    local job = read(id)
    if job and job.status == 'running' then lose(job) else redis.call('ZREM', key('leases'), id) end
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('deadlines'), '-inf', now, 'LIMIT', 0, most)) do
  local job = read(id)
  if job and is_live(job) then
    expire(job, now - lease_ms)
    expired = expired + 1
  else
    redis.call('ZREM', key('deadlines'), id)
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('held'), '-inf', now, 'LIMIT', 0, most)) do
  local job = read(id)
  if job and is_live(job) then
    cancel(job)
    abandoned = abandoned + 1
  else
    redis.call('ZREM', key('held'), id)
  end
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', key('results'), '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZREM', key('results'), entry)
  if redis.call('DECRBY', key('result_bytes'), string.match(entry, ' (%d+)$')) <= 0 then redis.call('DEL', key('result_bytes')) end
end
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key('inputs'), '-inf', now, 'LIMIT', 0, most)) do drop_input(member) end
-- Those that a version ended which knows of none.
for _, id in ipairs(redis.call('SMEMBERS', key('low_running'))) do
  if not score(key('leases'), id) then redis.call('SREM', key('low_running'), id) end
end
local out = {0, requeued, lost, expired, abandoned, lapsed}
local function tell_load(model, low)
  local queue, newer = queue_of(model, low == 1), 0
  local of = redis.call('HGETALL', key('newer', queue))
  for i = 1, #of, 2 do
    out[#out + 1] = {model, tonumber(of[i]), tonumber(of[i + 1]), readers(queue, tonumber(of[i]), now - lease_ms), low}
    newer = newer + tonumber(of[i + 1])
  end
  out[#out + 1] = {model, 1, redis.call('ZCARD', key('queue', queue)) - newer, readers(queue, 1, now - lease_ms), low}
end
for _, model in ipairs(redis.call('SMEMBERS', key('models'))) do
  tell_load(model, 0)
  if redis.call('EXISTS', key('queue', queue_of(model, true))) == 1 then tell_load(model, 1) end
end
return out
