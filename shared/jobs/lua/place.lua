#!lua flags=no-writes
-- Where a job stands in its model's queue and what the wait is made of; one of low priority, behind all others. Changes
-- nothing.
-- @key job hash the record
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg live_ms ms how old a heartbeat a live worker may have
-- @derives queue, newer, lanes, lane, backlog, pace, latency, serving
-- @returns {0, ahead, work_ahead, pace_ms, workers, latency_ms, newer} ahead: jobs served before it, -1 where it is not queued; work_ahead in units of cost; workers: those that can read it, and take such; newer 1: it waits and none can, so it waits for one of a later version; pace_ms and latency_ms per unit of cost as strings, empty where nothing was learned yet, and of a low job
local job = read(ARGV[2])
if not job then return {-1} end
local since, queue = now - tonumber(ARGV[3]), job.queue
local workers = readers(queue, job.needs, since)
-- A low job makes way for others, so nothing is known of how long it takes.
local pace = not job.low and redis.call('HGET', key('pace'), job.model) or ''
local latency = not job.low and redis.call('HGET', key('latency'), job.model) or pace
local tag = tag_of(queue, job.lane)
if job.status ~= 'queued' or not tag then return {0, -1, 0, pace, workers, latency, 0} end
local at, own_rank = served(queue, job.needs, since), 0
for _, each in ipairs(at) do
  own_rank = own_rank + redis.call('ZCOUNT', key('lane', level(queue, each), job.lane), '-inf', '(' .. job.order)
end
local mean = mean_cost(queue)
local ahead = own_rank + ahead_of(queue, job.lane, tag + own_rank * mean / job.weight, mean, at)
local work = ahead * mean
if job.low then
  local others = redis.call('ZCARD', key('queue', job.model))
  ahead, work = ahead + others, work + others * mean_cost(job.model)
end
local newer = job.needs > 1 and readers(job.model, job.needs, since) == 0
return {0, ahead, math.floor(work), pace, workers, latency, newer and 1 or 0}
