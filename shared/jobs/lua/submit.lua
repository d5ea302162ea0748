#!lua
-- Accept a job, or say why not. No allow-oom: a full Redis refuses new work and nothing else.
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
-- @arg attach_key string key under which a retry finds this job; empty: none
-- @arg retry flag 1: attach to the job under attach_key where there is one
-- @arg body_digest string digest of the request body
-- @arg holder string the process that holds the caller's call; empty: the job goes on whoever hangs up
-- @arg hold_ms ms the caller counts as gone when its hold is not renewed for this long
-- @arg max_wait_ms ms refuse when the job would end later than this from now, as far as that can be told
-- @arg max_owed_ms ms most predicted work of this owner's unfinished jobs
-- @arg max_result_bytes bytes refuse while the results that can still be fetched take more than this
-- @arg live_ms ms how old a heartbeat a live worker may have
-- @derives order, replay, attach, deadlines, leases, unfinished, history, serving, queue, newer, lanes, lane, idle, backlog, vtime, pace, latency, owed, held, holders, result_bytes, models
-- @returns {0, id, made, ring} made 1 or 0 (an earlier job answers), ring 1 where a slot may be idle; {-3} the owner has too much unfinished; {-4} the queue is full; {-5} no worker; {-6} the Idempotency-Key has another body; {-8} the wait would be too long; {-9} too many results
local id, fields = ARGV[2], cjson.decode(ARGV[3])
local deadline_ms, max_queued, max_unfinished, grace_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local replay_key, attach_key, holder, hold_ms = ARGV[8], ARGV[10], ARGV[13], tonumber(ARGV[14])
local max_wait_ms, max_owed_ms, max_result_bytes, live_ms = tonumber(ARGV[15]), tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local needs = tonumber(fields.needs or '1')
local rings_a_worker = 64  -- more slots than a worker has

local function earlier(name, same_body)
  local found = redis.call('GET', name)
  if not found then return nil end
  local split = string.find(found, ' ', 1, true)
  if same_body and string.sub(found, split + 1) ~= ARGV[12] then return nil, true end
  local earlier_id = string.sub(found, 1, split - 1)
  if redis.call('EXISTS', key('job', earlier_id)) == 0 then return nil end
  return earlier_id
end

-- The caller waits for an earlier job from now on, or wants it whoever waits.
local function attach(earlier_id)
  local job = read(earlier_id)
  if job.status == 'queued' or job.status == 'running' then
    if holder == '' then keep(earlier_id) else hold(job, holder, now + hold_ms) end
  end
  return {0, earlier_id, 0, 0}
end

-- A slot that was rung claims until nothing is left. Where more jobs wait than all slots together have been rung
-- for, another ring wakes nobody; should those rings have been lost, the reaper rings.
local function worth_a_ring(model)
  local workers, newer = readers(model, needs, now - live_ms), 0
  if needs > 1 then
    return workers > 0 and tonumber(redis.call('HGET', key('newer', model), needs)) <= rings_a_worker * workers and 1 or 0
  end
  for _, jobs in ipairs(redis.call('HVALS', key('newer', model))) do newer = newer + jobs end
  return redis.call('ZCARD', key('queue', model)) - newer <= rings_a_worker * math.max(1, workers) and 1 or 0
end

if redis.call('EXISTS', KEYS[1]) == 1 then return {0, id, 1, 1} end  -- this very call, repeated by the client library
if replay_key ~= '' then
  local found, other_body = earlier(replay_key, true)
  if other_body then return {-6} end
  if found then return attach(found) end
end
if attach_key ~= '' and ARGV[11] == '1' then
  local found = earlier(attach_key, true)
  if found then return attach(found) end
end

local model, owner = fields.model, fields.owner
local newest = redis.call('ZREVRANGE', key('serving', model), 0, 0, 'WITHSCORES')[2]
if grace_ms >= 0 and not (newest and tonumber(newest) >= now - grace_ms) then return {-5} end
local queued = redis.call('ZCARD', key('deadlines')) - redis.call('ZCARD', key('leases'))
if queued >= max_queued then return {-4} end
if redis.call('ZCARD', key('unfinished', owner)) >= max_unfinished then return {-3} end
if tonumber(redis.call('GET', key('result_bytes')) or '0') > max_result_bytes then return {-9} end

-- What is known of the pace decides what can be promised; before the first job nothing is.
local cost, weight = tonumber(fields.cost), tonumber(fields.weight)
local pace = tonumber(redis.call('HGET', key('pace'), model) or nil)
local predicted_ms = -1
if pace then
  local owed = tonumber(redis.call('GET', key('owed', owner)) or '0')
  if owed > 0 and (owed + cost) * pace > max_owed_ms then return {-3} end
  local able, at = readers(model, needs, now - live_ms), served(model, needs, now - live_ms)
  local workers, mean, own = math.max(1, able), mean_cost(model), waiting(model, fields.lane, at)
  local tag = tag_of(model, fields.lane) or math.max(virtual_time(model), score(key('idle', model), fields.lane) or 0)
  local ahead = own + ahead_of(model, fields.lane, tag + own * mean / weight, mean, at)
  local busy = redis.call('ZCARD', key('leases'))
  local running = busy >= workers and mean > 0 and mean / 2 or 0  -- half a job, on average, is left of what runs
  local latency = tonumber(redis.call('HGET', key('latency'), model) or pace)
  predicted_ms = math.floor((ahead * mean + running) * pace / workers + cost * latency)
  if needs > 1 and able == 0 then predicted_ms = -1 end  -- until a newer worker comes: when, nobody knows
  if predicted_ms > math.min(max_wait_ms, deadline_ms) then return {-8} end
end

local order = redis.call('INCR', key('order'))
local flat = {'status', 'queued', 'created_at', now, 'deadline_at', now + deadline_ms, 'order', order, 'attempt', 0,
  'losses', 0, 'token', '', 'worker', '', 'attach', attach_key, 'step', 0, 'steps', 0, 'predicted_ms', predicted_ms,
  'keep', holder == '' and '1' or '0'}
for name, value in pairs(fields) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('ZADD', key('deadlines'), now + deadline_ms, id)
redis.call('SADD', key('models'), model)  -- perhaps before any worker: what scales workers from zero must see the queue
redis.call('ZADD', key('unfinished', owner), order, id)
local history = key('history', owner)
redis.call('ZADD', history, order, id)
redis.call('ZREMRANGEBYRANK', history, 0, -1001)
redis.call('PEXPIRE', history, deadline_ms + fields.record_ttl_s * 1000)
redis.call('INCRBY', key('owed', owner), fields.cost)
local job = read(id)
enqueue(job)
if holder ~= '' then hold(job, holder, now + hold_ms) end
if replay_key ~= '' then redis.call('SET', replay_key, id .. ' ' .. ARGV[12], 'PX', ARGV[9]) end
if attach_key ~= '' then redis.call('SET', attach_key, id .. ' ' .. ARGV[12], 'PX', deadline_ms) end
return {0, id, 1, worth_a_ring(model)}
