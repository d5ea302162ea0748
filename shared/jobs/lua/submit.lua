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
-- @derives order, replay, attach, deadlines, leases, unfinished, history, serving, queue, lanes, lane, idle, backlog
-- @returns {0, id, made} made 1 or 0 (an earlier job answers); {-3, unfinished}, {-4, backlog, workers}, {-5}, {-6}
local id, fields = ARGV[2], cjson.decode(ARGV[3])
local deadline_ms, max_queued, max_unfinished, grace_ms = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local replay_key, attach_key = ARGV[8], ARGV[10]

local function earlier(name, same_body)
  local found = redis.call('GET', name)
  if not found then return nil end
  local split = string.find(found, ' ', 1, true)
  if same_body and string.sub(found, split + 1) ~= ARGV[12] then return nil, true end
  local earlier_id = string.sub(found, 1, split - 1)
  if redis.call('EXISTS', key('job', earlier_id)) == 0 then return nil end
  return earlier_id
end

if redis.call('EXISTS', KEYS[1]) == 1 then return {0, id, 1} end  -- this very call, repeated by the client library
if replay_key ~= '' then
  local found, other_body = earlier(replay_key, true)
  if other_body then return {-6} end
  if found then return {0, found, 0} end
end
if attach_key ~= '' and ARGV[11] == '1' then
  local found = earlier(attach_key, true)
  if found then return {0, found, 0} end
end

local model, owner = fields.model, fields.owner
local newest = redis.call('ZREVRANGE', key('serving', model), 0, 0, 'WITHSCORES')[2]
if grace_ms >= 0 and not (newest and tonumber(newest) >= now - grace_ms) then return {-5} end
local queued = redis.call('ZCARD', key('deadlines')) - redis.call('ZCARD', key('leases'))
if queued >= max_queued then return {-4} end
if redis.call('ZCARD', key('unfinished', owner)) >= max_unfinished then return {-3} end

local order = redis.call('INCR', key('order'))
local flat = {'status', 'queued', 'created_at', now, 'deadline_at', now + deadline_ms, 'order', order, 'attempt', 0,
  'losses', 0, 'token', '', 'worker', '', 'attach', attach_key, 'step', 0, 'steps', 0}
for name, value in pairs(fields) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
redis.call('ZADD', key('deadlines'), now + deadline_ms, id)
redis.call('ZADD', key('unfinished', owner), order, id)
local history = key('history', owner)
redis.call('ZADD', history, order, id)
redis.call('ZREMRANGEBYRANK', history, 0, -1001)
redis.call('PEXPIRE', history, deadline_ms + fields.record_ttl_s * 1000)
enqueue(read(id))
if replay_key ~= '' then redis.call('SET', replay_key, id .. ' ' .. ARGV[12], 'PX', ARGV[9]) end
if attach_key ~= '' then redis.call('SET', attach_key, id .. ' ' .. ARGV[12], 'PX', deadline_ms) end
return {0, id, 1}
