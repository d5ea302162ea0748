#!lua flags=allow-oom
-- End an attempt without a picture: the job fails, or goes back to its lane.
-- @key draft hash what this attempt may have written; deleted
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg token string the attempt's fence
-- @arg code string public error code
-- @arg message string public error message
-- @arg again string never: the job fails; retry: it is queued again while it has attempts left; free: queued again, no attempt spent; newer: the same, for a worker that reads a later version of the params
-- @arg reads count the version of the params that the worker reads
-- @derives job, leases, low_running, deadlines, unfinished, done, moved, queue, newer, lanes, lane, idle, backlog, counts, input, inputs, input_bytes, hooked, deliveries
-- @returns {0, status} failed or queued; {-1} no such job, {-2} no longer this attempt's
redis.call('DEL', KEYS[1])
local job = read(ARGV[2])
if not job then return {-1} end
local code, message, again = ARGV[4], ARGV[5], ARGV[6]
if job.status ~= 'running' or job.token ~= ARGV[3] then
  -- The same call sent twice by the client library: the first one did it.
  if redis.call('HGET', key('job', job.id), 'ended_token') == ARGV[3] then return {0, job.status} end
  return {-2}
end
redis.call('HSET', key('job', job.id), 'ended_token', job.token)
if again == 'free' or again == 'newer' then
  if again == 'newer' then
    job.needs = math.max(job.needs, tonumber(ARGV[7]) + 1)
    redis.call('HSET', key('job', job.id), 'needs', job.needs)
  end
  remember(job, again == 'newer' and 'not_readable' or 'handed_back', message)
  redis.call('HINCRBY', key('job', job.id), 'attempt', -1)
  requeue(job)
  -- That low jobs make way is no sign of anything wrong.
  if not job.low then count(job.model, 'attempts', 'requeued') end
  return {0, 'queued'}
end
remember(job, 'failed', code)
if again == 'retry' and job.attempt < job.max_attempts then
  requeue(job)
  count(job.model, 'attempts', 'requeued')
  return {0, 'queued'}
end
conclude(job, 'failed', code, message)
return {0, 'failed'}
