-- Put in front of every script. Redis's clock, key names, and the moves that several scripts share.
local prefix = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)  -- ms

local function key(...) return prefix .. table.concat({...}, ':') end

-- Tags are doubles; Lua's own tostring would cut them to 14 digits.
local function exact(number) return string.format('%.17g', number) end

local function score(name, member) return tonumber(redis.call('ZSCORE', name, member) or nil) end

-- Read the fields of a record that every move needs; nil where there is no such job.
local function read(id)
  local v = redis.call('HMGET', key('job', id), 'status', 'owner', 'lane', 'model', 'cost', 'weight', 'order',
    'attempt', 'losses', 'max_attempts', 'token', 'started_at', 'record_ttl_s', 'unanswered', 'worker', 'keep', 'told')
  if not v[1] then return nil end
  return {id = id, status = v[1], owner = v[2], lane = v[3], model = v[4], cost = tonumber(v[5]),
    weight = tonumber(v[6]), order = v[7], attempt = tonumber(v[8]), losses = tonumber(v[9]),
    max_attempts = tonumber(v[10]), token = v[11], started_at = tonumber(v[12] or '0') or 0,
    record_ttl_s = v[13], unanswered = v[14] or '', worker = v[15], keep = v[16] == '1', told = v[17] == '1'}
end

-- Count what happened to jobs of a model, for the metrics: once for each change, whoever caused it.
local function count(model, what, value, by)
  redis.call('HINCRBY', key('counts'), model .. ':' .. what .. ':' .. value, string.format('%d', by or 1))
end

local function is_live(job) return job.status == 'queued' or job.status == 'running' end

local function virtual_time(model) return tonumber(redis.call('GET', key('vtime', model)) or '0') end

-- Put a job in its lane. A lane that was empty takes up where it left off, but never behind the model's time.
local function enqueue(job)
  local lanes = key('lanes', job.model)
  redis.call('ZADD', key('queue', job.model), now, job.id)
  redis.call('ZADD', key('lane', job.model, job.lane), job.order, job.id)
  redis.call('INCRBY', key('backlog', job.model), job.cost)
  if not score(lanes, job.lane) then
    local tag = math.max(virtual_time(job.model), score(key('idle', job.model), job.lane) or 0)
    redis.call('ZREM', key('idle', job.model), job.lane)
    redis.call('ZADD', lanes, exact(tag), job.lane)
  end
end

-- Take a job out of its lane; false where it was not queued. `tag` is where its lane stands afterwards (default:
-- where it stood). A lane that is empty now leaves, and is remembered while it is ahead of the model's time.
local function dequeue(job, tag)
  if redis.call('ZREM', key('queue', job.model), job.id) == 0 then return false end
  local lanes, lane = key('lanes', job.model), key('lane', job.model, job.lane)
  redis.call('ZREM', lane, job.id)
  if redis.call('DECRBY', key('backlog', job.model), job.cost) <= 0 then redis.call('DEL', key('backlog', job.model)) end
  tag = tag or score(lanes, job.lane) or 0
  if redis.call('EXISTS', lane) == 1 then
    redis.call('ZADD', lanes, exact(tag), job.lane)
  else
    redis.call('ZREM', lanes, job.lane)
    if tag > virtual_time(job.model) then redis.call('ZADD', key('idle', job.model), exact(tag), job.lane) end
  end
  return true
end

-- Give a running job back to its lane: in its old place, with what its lane was charged for it refunded.
local function requeue(job)
  redis.call('HSET', key('job', job.id), 'status', 'queued', 'token', '', 'worker', '', 'step', 0)
  redis.call('ZREM', key('leases'), job.id)
  enqueue(job)
  redis.call('ZINCRBY', key('lanes', job.model), exact(-job.cost / job.weight), job.lane)
  redis.call('XADD', key('moved'), 'MAXLEN', '~', 20000, '*', 'id', job.id, 'status', 'queued')
  count(job.model, 'attempts', 'requeued')
end

-- Of a job that has its picture: those who wait for it are there until they have it, or say so no longer.
local function outlive(holders)
  local last = redis.call('ZREVRANGE', holders, 0, 0, 'WITHSCORES')[2]
  if last then redis.call('PEXPIRE', holders, math.max(1, last - now)) end
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
  if status == 'succeeded' then outlive(key('holders', job.id)) else redis.call('DEL', key('holders', job.id)) end
  if redis.call('DECRBY', key('owed', job.owner), job.cost) <= 0 then redis.call('DEL', key('owed', job.owner)) end
  if job.unanswered ~= '' and (status ~= 'succeeded' or job.told) then redis.call('ZREM', job.unanswered, job.id) end
  redis.call('XADD', key('done'), 'MAXLEN', '~', 20000, '*', 'id', job.id, 'status', status)
  count(job.model, 'ended', status)
  if status == 'failed' then count(job.model, 'failed', code) end
end

-- How many queued jobs of a model start before one of `lane` that stands at `tag`. Lanes take turns by virtual
-- time, so each other lane is served as often as its own tag stays behind; jobs count as of mean cost.
local function ahead_of(model, lane, tag, mean)
  local ahead = 0
  -- Lanes beyond the first 500 are behind: they have a later tag than these.
  local others = redis.call('ZRANGE', key('lanes', model), 0, 499, 'WITHSCORES')
  for i = 1, #others, 2 do
    local theirs = tonumber(others[i + 1])
    if others[i] ~= lane and theirs <= tag then
      local turns = 1 + math.floor((tag - theirs) / math.max(mean, 1e-9))
      -- A lane has a job at least: how many it has matters only where it has more than one turn.
      ahead = ahead + (turns == 1 and 1 or math.min(turns, redis.call('ZCARD', key('lane', model, others[i]))))
    end
  end
  return ahead
end

local function mean_cost(model)
  return tonumber(redis.call('GET', key('backlog', model)) or '0') / math.max(redis.call('ZCARD', key('queue', model)), 1)
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
  history[#history + 1] = {attempt = job.attempt, worker = job.worker, started_at = job.started_at, ended_at = now,
    outcome = outcome, detail = detail}
  redis.call('HSET', record, 'history', cjson.encode(history))
end

local function cancel(job)
  if job.status == 'queued' then dequeue(job) else remember(job, 'cancelled', '') end
  conclude(job, 'cancelled', 'job_cancelled', 'The job was cancelled.')
end

local function expire(job)
  if job.status == 'queued' then dequeue(job) else remember(job, 'deadline_exceeded', '') end
  conclude(job, 'failed', 'deadline_exceeded', "The job's deadline passed before its picture was ready.")
end
