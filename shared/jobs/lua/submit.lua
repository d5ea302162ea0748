#!lua
-- Accept a job, or say why not; one of low priority is in none of the bounds on queued and owed work. No allow-oom: a full Redis refuses new work and nothing else.
-- @key job hash the record to make
-- @arg prefix string prefix of every key
-- @arg id string the job's id
-- @arg fields json the record's fields as the caller fills them: owner, lane, model, cost, weight and the rest
-- @arg deadline_ms ms the job fails when it has not ended by then
-- @arg max_queued count most queued jobs in all
-- @arg max_unfinished count most unfinished jobs of this owner
-- @arg worker_grace_ms ms how old the model's last heartbeat may be; -1: no worker needed
-- @arg replay_key string key of the caller's Idempotency-Key; empty: none
-- @arg replay_ttl_ms ms how long that key replays this job
-- @arg retry flag 1: attach to an earlier job with this body, where one has an answer that has reached nobody
-- @arg body_digest string digest of the request body; empty: no retry finds this job
-- @arg holder string the process that holds the caller's call; empty: the caller is told the job's id at once
-- @arg keep flag 1: the job goes on whoever hangs up
-- @arg hold_ms ms the caller counts as gone when its hold is not renewed for this long
-- @arg max_wait_ms ms refuse when the job would end later than this from now, as far as that can be told
-- @arg max_owed_ms ms most predicted work of this owner's unfinished jobs
-- @arg max_result_bytes bytes refuse while the results that can still be fetched take more than this
-- @arg live_ms ms how old a heartbeat a live worker may have
-- @arg input_bytes bytes what the pictures take that it begins with, which are there already; 0: there are none
-- @arg max_input_bytes bytes refuse where those of all unfinished jobs would take more than this
-- @arg max_owner_input_bytes bytes the same of this owner's jobs
-- @derives order, replay, unanswered, refused, deadlines, leases, unfinished, history, serving, queue, newer, lanes, lane, idle, backlog, vtime, pace, latency, owed, held, holders, results, result_bytes, models, low_running, input, inputs, input_bytes, hooked
-- @returns {0, id, made, ring} made 1 or 0 (an earlier job answers), ring 1 where a slot may be idle; {-3, ms} the owner has too much unfinished; {-4, ms} the queue is full; {-5} no worker; {-6} the Idempotency-Key has another body; {-8, ms} the wait would be too long; {-9, ms} too many results; {-10} the pictures that it begins with are not there; {-11, ms} too many pictures; ms: what is left until there is room, as far as that can be told
local id, fields = ARGV[2], cjson.decode(ARGV[3])
local deadline_ms, max_queued, max_unfinished, grace_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local replay_key, retry, digest = ARGV[8], ARGV[10] == '1', ARGV[11]
local holder, keeps, hold_ms = ARGV[12], ARGV[13] == '1', tonumber(ARGV[14])
local max_wait_ms, max_owed_ms, max_result_bytes, live_ms = tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local input_bytes, max_input_bytes, max_owner_input_bytes = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
local needs, low = tonumber(fields.needs or '1'), fields.low == '1'
local rings_a_worker = 64  -- more slots than a worker has
local model, owner = fields.model, fields.owner
local queue = queue_of(model, low)
local most_unanswered = 100  -- calls with one body whose answers are kept apart
-- Two calls with an Idempotency-Key each are two, whatever their bodies.
local unanswered = digest ~= '' and replay_key == '' and key('unanswered', owner, digest) or ''

-- The job of the caller's Idempotency-Key; true beside it where it was made with another body.
local function replayed()
  local found = redis.call('GET', replay_key)
  if not found then return nil end
  local split = string.find(found, ' ', 1, true)
  if string.sub(found, split + 1) ~= digest then return nil, true end
  local earlier_id = string.sub(found, 1, split - 1)
  if redis.call('EXISTS', key('job', earlier_id)) == 0 then return nil end
  return earlier_id
end

-- The job that a retry attaches to: the oldest whose answer has reached nobody and that nobody waits for. Else one that
-- has a caller, better one that is not drawn yet, since the caller's process may have died, or not have seen yet that it
-- has gone; but not where a call with this body was refused: that is the one that comes again, and the others have
-- callers of their own.
local function repeated()
  local shared, fewest
  for _, earlier_id in ipairs(redis.call('ZRANGE', unanswered, 0, -1)) do
    local job = read(earlier_id)
    local live = job and is_live(job)
    local expires_at = tonumber(redis.call('HGET', key('job', earlier_id), 'expires_at') or '0')  -- of one that succeeded
    if not live and expires_at <= now then
      redis.call('ZREM', unanswered, earlier_id)
    elseif not job.told and redis.call('ZCOUNT', key('holders', earlier_id), now, '+inf') == 0 then
      return earlier_id
    elseif live or not job.told then
      local shares = tonumber(redis.call('HGET', key('job', earlier_id), 'shares') or '0') + (live and 0 or 1000)
      if not shared or shares < fewest then shared, fewest = earlier_id, shares end
    end
  end
  if redis.call('LREM', key('refused', owner), 1, digest) == 1 then return nil end
  if shared then redis.call('HINCRBY', key('job', shared), 'shares', 1) end
  return shared
end

-- The caller waits for an earlier job from now on, or wants it whoever waits.
local function attach(earlier_id)
  local job = read(earlier_id)
  if is_live(job) then
    if keeps then keep(earlier_id); job.keep = true end
    if holder == '' then redis.call('HSET', key('job', earlier_id), 'told', '1') end
  end
  if holder ~= '' and (is_live(job) or job.status == 'succeeded') then hold(job, holder, now + hold_ms) end
  return {0, earlier_id, 0, 0}
end

-- A slot that was rung claims until nothing is left. Where more jobs wait than all slots together have been rung
-- for, another ring wakes nobody; should those rings have been lost, the reaper rings.
local function worth_a_ring()
  local workers, newer = readers(queue, needs, now - live_ms), 0
  if needs > 1 then
    return workers > 0 and tonumber(redis.call('HGET', key('newer', queue), needs)) <= rings_a_worker * workers and 1 or 0
  end
  if low and workers == 0 then return 0 end
  for _, jobs in ipairs(redis.call('HVALS', key('newer', queue))) do newer = newer + jobs end
  return redis.call('ZCARD', key('queue', queue)) - newer <= rings_a_worker * math.max(1, workers) and 1 or 0
end

if redis.call('EXISTS', KEYS[1]) == 1 then return {0, id, 1, 1} end  -- this very call, repeated by the client library
if replay_key ~= '' then
  local found, other_body = replayed()
  if other_body then return {-6} end
  if found then return attach(found) end
elseif retry and unanswered ~= '' then
  local found = repeated()
  if found then return attach(found) end
end

local newest = redis.call('ZREVRANGE', key('serving', model), 0, 0, 'WITHSCORES')[2]
if grace_ms >= 0 and not (newest and tonumber(newest) >= now - grace_ms) then return {-5} end

-- What is known of the pace decides what can be promised; before the first job nothing is.
local cost, weight = tonumber(fields.cost), tonumber(fields.weight)
-- Nothing is promised of a low job, and none is counted: whoever submits them bounds them.
local pace = not low and tonumber(redis.call('HGET', key('pace'), model) or nil)
local able, at = readers(model, needs, now - live_ms), served(model, needs, now - live_ms)
local workers = math.max(1, able)
local latency = tonumber(redis.call('HGET', key('latency'), model) or pace)
local mean = mean_cost(model)
local predicted_ms, too_long_ms, turn_ms = -1, 0, 0
if pace then
  local own = waiting(model, fields.lane, at)
  local tag = tag_of(model, fields.lane) or math.max(virtual_time(model), score(key('idle', model), fields.lane) or 0)
  local ahead = own + ahead_of(model, fields.lane, tag + own * mean / weight, mean, at)
  local busy = redis.call('ZCARD', key('leases')) - redis.call('SCARD', key('low_running'))
  local running = busy >= workers and mean > 0 and mean / 2 or 0  -- half a job, on average, is left of what runs
  predicted_ms = math.floor((ahead * mean + running) * pace / workers + cost * latency)
  if needs > 1 and able == 0 then predicted_ms = -1 end  -- until a newer worker comes: when, nobody knows
  too_long_ms = math.max(0, predicted_ms - math.min(max_wait_ms, deadline_ms))
  turn_ms = (mean > 0 and mean or cost) * pace / workers  -- so often a job ends
end

-- Refuse, and say when there will be room for this very call: two things may be in its way.
local function refuse(code, left_ms) return {code, math.ceil(math.max(left_ms, too_long_ms))} end

-- When the first of the owner's jobs ends.
local function first_end_ms()
  local first = redis.call('ZRANGE', key('unfinished', owner), 0, 0)[1]
  first = first and read(first)
  if not pace or not first or first.model ~= model then return turn_ms end
  if first.status == 'running' then return first.started_at + first.cost * latency - now end
  local ahead = ahead_of(model, first.lane, tag_of(model, first.lane), mean, at)
  return ahead * mean * pace / workers + first.cost * latency
end

-- How many jobs are queued in all, the low ones left out.
local function queued()
  local jobs = redis.call('ZCARD', key('deadlines')) - redis.call('ZCARD', key('leases'))
  for _, each in ipairs(redis.call('SMEMBERS', key('models'))) do
    jobs = jobs - redis.call('ZCARD', key('queue', queue_of(each, true)))
  end
  return jobs
end

if not low then
  if queued() >= max_queued then return refuse(-4, turn_ms) end
  if redis.call('ZCARD', key('unfinished', owner)) >= max_unfinished then return refuse(-3, first_end_ms()) end
end
if tonumber(redis.call('GET', key('result_bytes')) or '0') > max_result_bytes then
  local first = redis.call('ZRANGE', key('results'), 0, 0, 'WITHSCORES')[2]
  return refuse(-9, first and first - now or 0)
end
if input_bytes > 0 then
  if redis.call('EXISTS', key('input', id)) == 0 then return {-10} end
  local all, own = tonumber(redis.call('GET', key('input_bytes')) or '0'), tonumber(redis.call('GET', key('input_bytes', owner)) or '0')
  if own > 0 and own + input_bytes > max_owner_input_bytes then return refuse(-3, first_end_ms()) end
  if all > 0 and all + input_bytes > max_input_bytes then return refuse(-11, turn_ms) end
end
if pace then
  local owed = tonumber(redis.call('GET', key('owed', owner)) or '0')
  local over_ms = (owed + cost) * pace - max_owed_ms
  if owed > 0 and over_ms > 0 then return refuse(-3, over_ms / workers) end
  if too_long_ms > 0 then return refuse(-8, too_long_ms) end
end

local order = redis.call('INCR', key('order'))
local flat = {'status', 'queued', 'created_at', now, 'deadline_at', now + deadline_ms, 'order', order, 'attempt', 0,
  'losses', 0, 'token', '', 'worker', '', 'unanswered', unanswered, 'step', 0, 'steps', 0, 'predicted_ms', predicted_ms,
  'keep', keeps and '1' or '0', 'told', holder == '' and '1' or '0',
  'attach', ''}  -- what workers from before 'unanswered' read of a job that fails
for name, value in pairs(fields) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('ZADD', key('deadlines'), now + deadline_ms, id)
if fields.webhook then redis.call('ZADD', key('hooked'), now + 30000, id) end
redis.call('SADD', key('models'), model)  -- perhaps before any worker: what scales workers from zero must see the queue
if not low then
  redis.call('ZADD', key('unfinished', owner), order, id)
  redis.call('INCRBY', key('owed', owner), fields.cost)
end
if not low then  -- thousands of lines of a batch would leave no room for what was asked for by calls
  local history = key('history', owner)
  redis.call('ZADD', history, order, id)
  redis.call('ZREMRANGEBYRANK', history, 0, -1001)
  redis.call('PEXPIRE', history, deadline_ms + fields.record_ttl_s * 1000)
end
if input_bytes > 0 then
  redis.call('HSET', KEYS[1], 'input_bytes', input_bytes)
  redis.call('PEXPIRE', key('input', id), deadline_ms + 60000)
  redis.call('ZADD', key('inputs'), now + deadline_ms + 60000, input(id, input_bytes, owner))
  redis.call('INCRBY', key('input_bytes'), input_bytes)
  redis.call('INCRBY', key('input_bytes', owner), input_bytes)
  redis.call('PEXPIRE', key('input_bytes', owner), deadline_ms + 120000)
end
local job = read(id)
enqueue(job)
if holder ~= '' then hold(job, holder, now + hold_ms) end
if replay_key ~= '' then redis.call('SET', replay_key, id .. ' ' .. digest, 'PX', ARGV[9]) end
if unanswered ~= '' then
  redis.call('ZADD', unanswered, order, id)
  redis.call('ZREMRANGEBYRANK', unanswered, 0, -1 - most_unanswered)
  redis.call('PEXPIRE', unanswered, deadline_ms + fields.result_ttl_s * 1000)
end
return {0, id, 1, worth_a_ring()}
