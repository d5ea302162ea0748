#!lua flags=allow-oom
-- A caller has the picture of a job, but for its last byte: no retry gets it any more.
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg holder string the process that held the call
-- @arg last flag 1: that process holds no other call for it
-- @derives job, holders, unanswered
-- @returns {0}; {-1} no such job
local job = read(ARGV[2])
if not job then return {-1} end
if job.unanswered ~= '' then redis.call('ZREM', job.unanswered, job.id) end
if ARGV[4] == '1' then redis.call('ZREM', key('holders', job.id), ARGV[3]) end
return {0}
