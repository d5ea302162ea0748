#!lua flags=allow-oom
-- Make an attempt's draft the job's result and announce it. Safe to send twice.
-- @key draft hash what this attempt drew: index -> base64, or the name of an object
-- @key result hash where it goes
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg token string the attempt's fence
-- @arg images count how many images the draft must hold
-- @arg usage json token counts
-- @arg bytes bytes size of the images
-- @arg device_ms ms the attempt's share of its worker's time; -1: it had all of it
-- @arg warnings json what the caller should know of the pictures, {code, message} each
-- @arg objects json names of the objects that the images are; []: they are in the draft
-- @derives job, leases, low_running, deadlines, unfinished, held, holders, owed, done, pace, latency, eta_error, results, result_bytes, usage, counts, input, inputs, input_bytes, objects, hooked, deliveries
-- @returns {0, error_ms} by how much the predicted end was missed, -1 where none was made; {-1} no such job, {-2} no longer this attempt's (the draft is deleted), {-7} the draft is not whole, {-12} an object may have been deleted
local job = read(ARGV[2])
if not job then redis.call('DEL', KEYS[1]); return {-1} end
if job.status == 'succeeded' and job.token == ARGV[3] then return {0, -1} end
if job.status ~= 'running' or job.token ~= ARGV[3] then redis.call('DEL', KEYS[1]); return {-2} end
if redis.call('HLEN', KEYS[1]) ~= tonumber(ARGV[4]) then return {-7} end
local objects = cjson.decode(ARGV[9])
for _, name in ipairs(objects) do
  if not score(key('objects'), name) then redis.call('DEL', KEYS[1]); return {-12} end
end
local record = key('job', job.id)
local ttl_s = tonumber(redis.call('HGET', record, 'result_ttl_s'))
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('EXPIRE', KEYS[2], ttl_s)
-- A minute more than they can be asked for: whoever asked in time is still reading.
for _, name in ipairs(objects) do redis.call('ZADD', key('objects'), now + ttl_s * 1000 + 60000, name) end
redis.call('HSET', record, 'usage', ARGV[5], 'expires_at', now + ttl_s * 1000)
redis.call('HSET', record, 'step', redis.call('HGET', record, 'steps') or 0)
if ARGV[8] ~= '[]' then redis.call('HSET', record, 'warnings', ARGV[8]) end
remember(job, 'succeeded', '')
-- Milliseconds per unit of work, learned: a fifth of each new measurement. What the worker spent on it tells how
-- fast a queue drains; the whole time from start to end, shared with other jobs, how long one takes.
local function learn(name, ms)
  local measured = ms / job.cost
  local known = tonumber(redis.call('HGET', key(name), job.model) or measured)
  redis.call('HSET', key(name), job.model, exact(known + (measured - known) / 5))
end
local latency_ms, device_ms = now - job.started_at, tonumber(ARGV[7])
-- Of a low job only its own share of the time says anything: it makes way for others.
if not job.low then learn('latency', latency_ms) end
if device_ms >= 0 or not job.low then learn('pace', device_ms >= 0 and math.min(device_ms, latency_ms) or latency_ms) end
-- What it used, for its owner and its key: here, and so once, whatever was retried or sent twice.
local used, day = cjson.decode(ARGV[5]), string.format('%d', math.floor(now / 86400000))
local amounts = {jobs = 1, images = tonumber(ARGV[4]), input_tokens = used.input_tokens or 0, output_tokens = used.output_tokens or 0,
  device_ms = math.floor(device_ms >= 0 and math.min(device_ms, latency_ms) or latency_ms)}
local function charge(subject)
  local account = key('usage', subject, day)
  for what, amount in pairs(amounts) do redis.call('HINCRBY', account, job.model .. ':' .. what, string.format('%d', amount)) end
  redis.call('EXPIRE', account, 400 * 86400)
end
charge(job.owner)
local key_id = redis.call('HGET', record, 'key_id')
if key_id and key_id ~= '' then charge('key.' .. key_id) end
-- What is kept counts until the reaper finds that its time to live has passed.
redis.call('INCRBY', key('result_bytes'), ARGV[6])
redis.call('ZADD', key('results'), now + ttl_s * 1000, job.id .. ' ' .. ARGV[6])
-- How good the prediction was, as a share of the whole time: the mean of the last ten or so.
local error_ms, v = -1, redis.call('HMGET', record, 'predicted_ms', 'created_at')
if tonumber(v[1] or '-1') >= 0 then
  local took_ms = now - tonumber(v[2])
  error_ms = math.abs(took_ms - tonumber(v[1]))
  local share = error_ms / math.max(took_ms, 1)
  local known = tonumber(redis.call('HGET', key('eta_error'), job.model) or share)
  redis.call('HSET', key('eta_error'), job.model, exact(known + (share - known) / 10))
end
-- How long it waited, ran and took in all, by the smallest of these bounds that it stayed within. Nobody waits for a
-- low job.
local function observe(what, ms)
  local within = 'inf'
  for _, bound in ipairs({100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000}) do
    if ms <= bound then within = string.format('%d', bound); break end
  end
  count(job.model, what, within)
  count(job.model, what, 'sum', ms)
end
local created_at = tonumber(v[2])
if not job.low then
  observe('wait', math.max(0, job.started_at - created_at))
  observe('run', latency_ms)
  observe('total', math.max(0, now - created_at))
end
conclude(job, 'succeeded')
return {0, error_ms}
