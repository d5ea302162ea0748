#!lua
-- Keep a preview of a running job for a while, and tell those who follow the job. No allow-oom: a full Redis goes
-- without previews.
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg token string the attempt's fence
-- @arg image count which of the job's images, from 0
-- @arg partial count which preview of it, from 0
-- @arg base64 string the encoded file
-- @arg ttl_s s how long it can be read; each preview renews that for all
-- @derives job, previews, events
-- @returns {0}; {-1} no such job; {-2} no longer this attempt's
local job = read(ARGV[2])
if not job then return {-1} end
if job.status ~= 'running' or job.token ~= ARGV[3] then return {-2} end
local previews = key('previews', job.id)
redis.call('HSET', previews, ARGV[4] .. '.' .. ARGV[5], ARGV[6])
redis.call('EXPIRE', previews, ARGV[7])
local news = {attempt = job.attempt, image = tonumber(ARGV[4]), partial = tonumber(ARGV[5])}
redis.call('PUBLISH', key('events', job.id), cjson.encode(news))
return {0}
