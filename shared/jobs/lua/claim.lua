#!lua flags=allow-oom
-- Give a worker up to `want` queued jobs of one model, fairly: always from the lane with the least virtual time that
-- has a job which the worker can read. Where it gets none and none waits for it, up to `low` of low priority, likewise.
-- @arg prefix string prefix of every key
-- @arg model string the model
-- @arg worker string who claims
-- @arg seed string random; with the attempt number it makes each job's token, and a repeated call is told by it
-- @arg lease_ms ms how long the jobs are the worker's without a renewal
-- @arg want count most jobs to take that are not low; 0: of those only what an earlier call with this seed took
-- @arg low count most low jobs to take
-- @arg alone flag 1: the worker runs nothing else, so that a job that lost a worker may run, by itself
-- @arg reads count the version of the params that the worker reads; jobs that need a later one are left where they are
-- @derives lanes, lane, queue, newer, idle, vtime, serving, backlog, job, leases, low_running, deadlines, unfinished, done, moved, claimed, counts, input, inputs, input_bytes, hooked, deliveries
-- @returns {0, held_back, {id, token, attempt, params, deadline_at, request_id, losses, trace, queued_at, claimed_at, now, low}, …} held_back 1: a job that is not low waits for an idle worker or, where `want` is 0, at all
local model, worker, seed = ARGV[2], ARGV[3], ARGV[4]
local lease_ms, want, want_low = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local alone, reads = ARGV[8] == '1', tonumber(ARGV[9])
local claimed = key('claimed', seed)

local function handed(id)
  local v = redis.call('HMGET', key('job', id), 'token', 'attempt', 'params', 'deadline_at', 'request_id', 'losses',
    'trace', 'queued_at', 'started_at', 'low')
  return {id, v[1], tonumber(v[2]), v[3], tonumber(v[4]), v[5], tonumber(v[6]), v[7] or '', tonumber(v[8] or v[9]),
    tonumber(v[9]), now, v[10] == '1' and 1 or 0}
end

local out = {0, 0}
local repeated = redis.call('GET', claimed)
if repeated then
  for id in string.gmatch(repeated, '%S+') do
    if string.find(redis.call('HGET', key('job', id), 'token') or '', seed, 1, true) == 1 then out[#out + 1] = handed(id) end
  end
  return out
end

-- The first member of a sorted set over the levels that this worker reads: the least by score, then by name.
local function first(queue, readable, name_of)
  local found, least, at
  for _, each in ipairs(readable) do
    local head = redis.call('ZRANGE', name_of(level(queue, each)), 0, 0, 'WITHSCORES')
    local rank = tonumber(head[2])
    if rank and (not least or rank < least or rank == least and head[1] < found) then found, least, at = head[1], rank, each end
  end
  return found, least, at
end

-- The lane whose turn it is, its tag, its job, and the level at which that stands.
local function next_job(queue)
  local readable = {}
  for _, each in ipairs(levels(queue)) do
    if each <= reads then readable[#readable + 1] = each end
  end
  local lane, tag = first(queue, readable, function(at) return key('lanes', at) end)
  if not lane then return nil end
  local id, _, at = first(queue, readable, function(each) return key('lane', each, lane) end)
  return lane, tag, id, at
end

local function start(job, tag)
  -- A lane whose jobs no worker could read until now does not make up for all the turns that it could not take.
  if job.needs > 1 and job.started_at == 0 then tag = math.max(tag, virtual_time(job.queue)) end
  local queued_at = score(key('queue', job.queue), job.id) or now
  redis.call('SET', key('vtime', job.queue), exact(math.max(virtual_time(job.queue), tag)))
  dequeue(job, tag + job.cost / job.weight)
  local attempt = job.attempt + 1
  redis.call('HSET', key('job', job.id), 'status', 'running', 'attempt', attempt, 'token', seed .. '.' .. attempt,
    'worker', worker, 'queued_at', queued_at, 'started_at', now, 'step', 0)
  redis.call('ZADD', key('leases'), now + lease_ms, job.id)
  if job.low then redis.call('SADD', key('low_running'), job.id) end
  redis.call('XADD', key('moved'), 'MAXLEN', '~', 20000, '*', 'id', job.id, 'status', 'running')
end

-- Take away what stands where no queued job is: a version of before there were low jobs ended one, or somebody edits
-- Redis by hand.
local function mend(queue, lane, tag, id, at, job)
  if id then strike(queue, at, lane, id, job and job.cost or 0) end
  stand(queue, lane, tag)
  if id then count_newer(queue, at, -1) end
end

-- Take up to `most` jobs of a queue; whether one waits for an idle worker.
local ids = {}
local function take(queue, most)
  while #ids < most do
    local lane, tag, id, at = next_job(queue)
    if not lane then return false end
    local job = id and read(id)
    if not job or job.status ~= 'queued' then
      mend(queue, lane, tag, id, at, job)
    elseif job.queue ~= queue then  -- a reaper of before there were low jobs put it here
      dequeue(job)
      enqueue(job)
    elseif (score(key('deadlines'), id) or 0) <= now then
      expire(job, now - lease_ms)
    elseif job.losses > 0 and not (alone and #ids == 0) then
      return true
    else
      start(job, tag)
      ids[#ids + 1] = id
      if job.losses > 0 then return false end
    end
  end
  return false
end

local low = queue_of(model, true)
-- A low job that waits for an idle worker keeps no other waiting.
if take(model, want) or #ids == 0 and next_job(model) then out[2] = 1 elseif #ids == 0 then take(low, want_low) end
for _, queue in ipairs({model, low}) do
  redis.call('ZREMRANGEBYSCORE', key('idle', queue), '-inf', exact(virtual_time(queue)))
end
-- Kept as long as a worker whose reply was lost goes on asking, which an outage of Redis may make long.
if #ids > 0 then redis.call('SET', claimed, table.concat(ids, ' '), 'EX', 120) end
for _, id in ipairs(ids) do out[#out + 1] = handed(id) end
return out
