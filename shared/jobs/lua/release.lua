#!lua flags=allow-oom
-- The last call that a process held for a job has ended without its picture. When no other process holds one, the job
-- is cancelled after a grace in which a retry may attach, at once, or not at all.
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg holder string the process that held the call
-- @arg grace_ms ms the grace; 0: cancel at once; -1: the job goes on whoever has gone
-- @arg told flag 1: the caller knows the job's id from now on, and can fetch what becomes of it
-- @derives job, held, holders, unanswered, leases, low_running, deadlines, unfinished, owed, done, queue, newer, lanes, lane, idle, backlog, counts, input, inputs, input_bytes, hooked, deliveries
-- @returns {0, status}; {-1} no such job
local job, holders, grace_ms = read(ARGV[2]), key('holders', ARGV[2]), tonumber(ARGV[4])
if not job then return {-1} end
redis.call('ZREM', holders, ARGV[3])
if ARGV[5] == '1' then
  if is_live(job) then
    redis.call('HSET', key('job', job.id), 'told', '1')
  elseif job.unanswered ~= '' then
    redis.call('ZREM', job.unanswered, job.id)
  end
end
if not is_live(job) or job.keep then return {0, job.status} end
if grace_ms < 0 then
  keep(job.id)
  return {0, job.status}
end
redis.call('ZREMRANGEBYSCORE', holders, '-inf', now)
local last = redis.call('ZREVRANGE', holders, 0, 0, 'WITHSCORES')[2]
if last then
  redis.call('ZADD', key('held'), last, job.id)
elseif grace_ms > 0 then
  redis.call('ZADD', key('held'), now + grace_ms, job.id)
else
  cancel(job)
  return {0, 'cancelled'}
end
return {0, job.status}
