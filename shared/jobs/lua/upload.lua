#!lua
-- Note the names of objects before they are written, so that what nobody finishes is deleted. Safe to send twice.
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg token string the attempt's fence
-- @arg names json the names
-- @arg keep_ms ms how long the attempt has for it
-- @derives job, objects
-- @returns {0}; {-1} no such job, {-2} no longer this attempt's
local job = read(ARGV[2])
if not job then return {-1} end
if job.status ~= 'running' or job.token ~= ARGV[3] then return {-2} end
for _, name in ipairs(cjson.decode(ARGV[4])) do redis.call('ZADD', key('objects'), now + tonumber(ARGV[5]), name) end
return {0}
