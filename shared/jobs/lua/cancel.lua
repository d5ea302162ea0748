#!lua flags=allow-oom
-- Cancel a queued or running job of this owner. A finished one is left as it is.
-- @key job hash the record
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg owner string whose it must be
-- @derives leases, low_running, deadlines, unfinished, done, queue, newer, lanes, lane, idle, backlog, counts, input, inputs, input_bytes, hooked, deliveries
-- @returns {0, status}; {-1} no such job of this owner
local job = read(ARGV[2])
if not job or job.owner ~= ARGV[3] then return {-1} end
if job.status ~= 'queued' and job.status ~= 'running' then return {0, job.status} end
cancel(job)
return {0, 'cancelled'}
