#!lua flags=no-writes
-- Where a job stands in its model's queue and what the wait is made of. Changes nothing.
-- @key job hash the record
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg live_ms ms how old a heartbeat a live worker may have
-- @derives queue, lanes, lane, backlog, pace, latency, serving
-- @returns {0, ahead, work_ahead, pace_ms, workers, latency_ms} ahead: jobs served before it, -1 where it is not queued; work_ahead in units of cost; pace_ms and latency_ms per unit of cost as strings, empty where nothing was learned yet
local job = read(ARGV[2])
if not job then return {-1} end
local workers = redis.call('ZCOUNT', key('serving', job.model), now - tonumber(ARGV[3]), '+inf')
local pace = redis.call('HGET', key('pace'), job.model) or ''
local latency = redis.call('HGET', key('latency'), job.model) or pace
local own_rank = redis.call('ZRANK', key('lane', job.model, job.lane), job.id)
if job.status ~= 'queued' or not own_rank then return {0, -1, 0, pace, workers, latency} end
local mean = mean_cost(job.model)
local tag = score(key('lanes', job.model), job.lane) + own_rank * mean / job.weight
local ahead = own_rank + ahead_of(job.model, job.lane, tag, mean)
return {0, ahead, math.floor(ahead * mean), pace, workers, latency}
