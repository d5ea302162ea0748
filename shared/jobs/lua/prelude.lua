-- Put in front of every script. Redis's clock, key names, and the moves that several scripts share.
local prefix = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)  -- ms

local function key(...) return prefix .. table.concat({...}, ':') end

-- Tags are doubles; Lua's own tostring would cut them to 14 digits.
local function exact(number) return string.format('%.17g', number) end

local function score(name, member) return tonumber(redis.call('ZSCORE', name, member) or nil) end

-- The name under which a model's jobs wait: its own, and another for those of low priority, so that a script of before
-- there were any never comes upon one. No model can be called so.
local function queue_of(model, low) return low and model .. '~low' or model end

-- Read the fields of a record that every move needs; nil where there is no such job.
local function read(id)
  local v = redis.call('HMGET', key('job', id), 'status', 'owner', 'lane', 'model', 'cost', 'weight', 'order',
    'attempt', 'losses', 'max_attempts', 'token', 'started_at', 'record_ttl_s', 'unanswered', 'worker', 'keep', 'told',
    'needs', 'input_bytes', 'low')
  if not v[1] then return nil end
  local low = v[20] == '1'
  return {id = id, status = v[1], owner = v[2], lane = v[3], model = v[4], cost = tonumber(v[5]),
    weight = tonumber(v[6]), order = v[7], attempt = tonumber(v[8]), losses = tonumber(v[9]),
    max_attempts = tonumber(v[10]), token = v[11], started_at = tonumber(v[12] or '0') or 0,
    record_ttl_s = v[13], unanswered = v[14] or '', worker = v[15], keep = v[16] == '1', told = v[17] == '1',
    needs = tonumber(v[18] or '1'), input_bytes = tonumber(v[19] or '0'), low = low, queue = queue_of(v[4], low)}
end

-- Count what happened to jobs of a model, for the metrics: once for each change, whoever caused it.
local function count(model, what, value, by)
  redis.call('HINCRBY', key('counts'), model .. ':' .. what .. ':' .. value, string.format('%d', by or 1))
end

local function is_live(job) return job.status == 'queued' or job.status == 'running' end

local function virtual_time(queue) return tonumber(redis.call('GET', key('vtime', queue)) or '0') end

-- The name under which a queue's jobs of one need wait, and under which the workers that can take them are listed.
-- A job that any worker can read stands under the queue's own name; what a later version of the params needs, stands
-- where no worker of an earlier one ever looks.
local function level(queue, needs) return needs == 1 and queue or queue .. '@' .. needs end

-- Which needs the jobs of a queue have; 1 is always among them.
local function levels(queue)
  local found = {1}
  for _, needs in ipairs(redis.call('HKEYS', key('newer', queue))) do found[#found + 1] = tonumber(needs) end
  return found
end

-- Count a queued job in or out; only those are counted that not every worker can read.
local function count_newer(queue, needs, by)
  if needs > 1 and redis.call('HINCRBY', key('newer', queue), needs, by) <= 0 then
    redis.call('HDEL', key('newer', queue), needs)
  end
end

-- How many workers that have been heard of since `since` take from this queue and can read what needs this.
local function readers(queue, needs, since) return redis.call('ZCOUNT', key('serving', level(queue, needs)), since, '+inf') end

-- The levels whose jobs are served before or beside one of this need: what it can be read by, and what is read now.
local function served(queue, needs, since)
  local found = {}
  for _, each in ipairs(levels(queue)) do
    if each <= needs or readers(queue, each, since) > 0 then found[#found + 1] = each end
  end
  return found
end

-- Where a lane stands: it has one tag, written at every level at which it has jobs.
local function tag_of(queue, lane)
  for _, each in ipairs(levels(queue)) do
    local tag = score(key('lanes', level(queue, each)), lane)
    if tag then return tag end
  end
end

local function stand(queue, lane, tag)
  local waits = false
  for _, each in ipairs(levels(queue)) do
    local at = level(queue, each)
    if redis.call('EXISTS', key('lane', at, lane)) == 1 then
      redis.call('ZADD', key('lanes', at), exact(tag), lane)
      waits = true
    else
      redis.call('ZREM', key('lanes', at), lane)
    end
  end
  return waits
end

-- How many jobs a lane has at these levels.
local function waiting(queue, lane, at)
  local jobs = 0
  for _, each in ipairs(at) do jobs = jobs + redis.call('ZCARD', key('lane', level(queue, each), lane)) end
  return jobs
end

-- Put a job in its lane. A lane that was empty takes up where it left off, but never behind the queue's time; nor
-- does one that had nothing at this level: while workers cannot read what else it has, it saves up no turns.
local function enqueue(job)
  local at, queue = level(job.queue, job.needs), job.queue
  local tag = tag_of(queue, job.lane)
  if not tag or redis.call('EXISTS', key('lane', at, job.lane)) == 0 then
    tag = math.max(virtual_time(queue), tag or score(key('idle', queue), job.lane) or 0)
  end
  count_newer(queue, job.needs, 1)
  redis.call('ZADD', key('queue', queue), now, job.id)
  redis.call('ZADD', key('lane', at, job.lane), job.order, job.id)
  redis.call('INCRBY', key('backlog', queue), job.cost)
  redis.call('ZREM', key('idle', queue), job.lane)
  stand(queue, job.lane, tag)
end

-- Forget of a queued job where it stands, and what it costs.
local function strike(queue, needs, lane, id, cost)
  redis.call('ZREM', key('queue', queue), id)
  redis.call('ZREM', key('lane', level(queue, needs), lane), id)
  local left = redis.call('DECRBY', key('backlog', queue), cost)
  if left <= 0 or redis.call('EXISTS', key('queue', queue)) == 0 then redis.call('DEL', key('backlog', queue)) end
end

-- Take a job out of its lane; false where it was not queued. `tag` is where its lane stands afterwards (default:
-- where it stood). A lane that is empty now leaves, and is remembered while it is ahead of the queue's time.
local function dequeue(job, tag)
  local queue = job.queue
  -- A reaper of before there were low jobs puts them among the others.
  if job.low and score(key('queue', job.model), job.id) then queue = job.model end
  if not score(key('queue', queue), job.id) then return false end
  tag = tag or tag_of(queue, job.lane) or 0
  strike(queue, job.needs, job.lane, job.id, job.cost)
  if not stand(queue, job.lane, tag) and tag > virtual_time(queue) then
    redis.call('ZADD', key('idle', queue), exact(tag), job.lane)
  end
  count_newer(queue, job.needs, -1)
  return true
end

-- Give a running job back to its lane: in its old place, with what its lane was charged for it refunded.
local function requeue(job)
  redis.call('HSET', key('job', job.id), 'status', 'queued', 'token', '', 'worker', '', 'step', 0)
  redis.call('ZREM', key('leases'), job.id)
  if job.low then redis.call('SREM', key('low_running'), job.id) end
  enqueue(job)
  stand(job.queue, job.lane, tag_of(job.queue, job.lane) - job.cost / job.weight)
  redis.call('XADD', key('moved'), 'MAXLEN', '~', 20000, '*', 'id', job.id, 'status', 'queued')
end

-- Of a job that has its picture: those who wait for it are there until they have it, or say so no longer.
local function outlive(holders)
  local last = redis.call('ZREVRANGE', holders, 0, 0, 'WITHSCORES')[2]
  if last then redis.call('PEXPIRE', holders, math.max(1, last - now)) end
end

-- What the pictures take that unfinished jobs begin with: in all, and of each owner. A member of `inputs` counts as
-- long as it is there; the reaper finds those whose job was ended by a version that knows of none.
local function input(id, bytes, owner) return id .. ' ' .. string.format('%d', bytes) .. ' ' .. owner end

local function drop_input(member)
  if redis.call('ZREM', key('inputs'), member) == 0 then return end
  local id, bytes, owner = string.match(member, '^(%S+) (%d+) (%S+)$')
  redis.call('DEL', key('input', id))
  for _, total in ipairs({key('input_bytes'), key('input_bytes', owner)}) do
    if redis.call('DECRBY', total, bytes) <= 0 then redis.call('DEL', total) end
  end
end

-- Make a job terminal and announce it; `code` and `message` say why where it has no picture. The caller has
-- checked that it is not terminal yet.
local function conclude(job, status, code, message)
  local record = key('job', job.id)
  redis.call('HSET', record, 'status', status, 'finished_at', now, 'error',
    code and cjson.encode({code = code, message = message}) or '')
  redis.call('EXPIRE', record, job.record_ttl_s)
  redis.call('ZREM', key('leases'), job.id)
  redis.call('ZREM', key('deadlines'), job.id)
  redis.call('ZREM', key('unfinished', job.owner), job.id)
  redis.call('ZREM', key('held'), job.id)
  if job.input_bytes > 0 then drop_input(input(job.id, job.input_bytes, job.owner)) end
  if status == 'succeeded' then outlive(key('holders', job.id)) else redis.call('DEL', key('holders', job.id)) end
  if job.low then
    redis.call('SREM', key('low_running'), job.id)
  elseif redis.call('DECRBY', key('owed', job.owner), job.cost) <= 0 then
    redis.call('DEL', key('owed', job.owner))
  end
  if job.unanswered ~= '' and (status ~= 'succeeded' or job.told) then redis.call('ZREM', job.unanswered, job.id) end
  redis.call('XADD', key('done'), 'MAXLEN', '~', 20000, '*', 'id', job.id, 'status', status)
  -- Somebody wants to be told: once, as this is the only end that the job has.
  if redis.call('ZREM', key('hooked'), job.id) == 1 then redis.call('ZADD', key('deliveries'), now, job.id) end
  count(job.model, 'ended', status)
  if status == 'failed' then count(job.model, 'failed', code) end
end

-- How many jobs of a queue at these levels start before one of `lane` that stands at `tag`. Lanes take turns
-- by virtual time, so each other lane is served as often as its own tag stays behind; jobs count as of mean cost.
local function ahead_of(queue, lane, tag, mean, at)
  local ahead, seen = 0, {[lane] = true}
  for _, each in ipairs(at) do
    -- Lanes beyond the first 500 are behind: they have a later tag than these.
    local others = redis.call('ZRANGE', key('lanes', level(queue, each)), 0, 499, 'WITHSCORES')
    for i = 1, #others, 2 do
      local theirs = tonumber(others[i + 1])
      if not seen[others[i]] and theirs <= tag then
        local turns = 1 + math.floor((tag - theirs) / math.max(mean, 1e-9))
        -- A lane has a job at least: how many it has matters only where it has more than one turn.
        ahead = ahead + (turns == 1 and 1 or math.min(turns, waiting(queue, others[i], at)))
      end
      seen[others[i]] = true
    end
  end
  return ahead
end

local function mean_cost(queue)
  return tonumber(redis.call('GET', key('backlog', queue)) or '0') / math.max(redis.call('ZCARD', key('queue', queue)), 1)
end

-- The caller who waits for a job is there until `expires_at`, unless it says so again.
local function hold(job, holder, expires_at)
  local holders = key('holders', job.id)
  redis.call('ZADD', holders, 'GT', expires_at, holder)
  if not is_live(job) then return outlive(holders) end
  redis.call('PEXPIRE', holders, expires_at - now + 60000)
  if not job.keep then redis.call('ZADD', key('held'), 'GT', expires_at, job.id) end
end

-- Somebody wants this job's result whoever hangs up: it is never cancelled for want of a caller.
local function keep(id)
  redis.call('HSET', key('job', id), 'keep', '1')
  redis.call('ZREM', key('held'), id)
end

-- Append one line to the job's attempt history.
local function remember(job, outcome, detail)
  local record = key('job', job.id)
  local history = cjson.decode(redis.call('HGET', record, 'history') or '[]')
  -- A low job may be handed back any number of times: of several in a row the last is kept.
  local last = history[#history]
  if job.low and outcome == 'handed_back' and last and last.outcome == outcome then history[#history] = nil end
  history[#history + 1] = {attempt = job.attempt, worker = job.worker, started_at = job.started_at, ended_at = now,
    outcome = outcome, detail = detail}
  redis.call('HSET', record, 'history', cjson.encode(history))
end

local function cancel(job)
  if job.status == 'queued' then dequeue(job) else remember(job, 'cancelled', '') end
  conclude(job, 'cancelled', 'job_cancelled', 'The job was cancelled.')
end

local function expire(job, since)
  local message = "The job's deadline passed before its picture was ready."
  if job.status == 'queued' and job.needs > 1 and readers(job.model, job.needs, since) == 0 then
    message = "The job's deadline passed: no worker came that is new enough to read it."
  end
  if job.status == 'queued' then dequeue(job) else remember(job, 'deadline_exceeded', '') end
  conclude(job, 'failed', 'deadline_exceeded', message)
end
