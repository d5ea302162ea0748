#!lua flags=allow-oom
-- Note how far running jobs are, and tell those who follow them. A job that has moved on is passed over.
-- @arg prefix string prefix of every key
-- @arg marks json list of [id, token, step, steps]
-- @derives job, events
-- @returns {0, noted} how many were noted
local noted = 0
for _, mark in ipairs(cjson.decode(ARGV[2])) do
  local record = key('job', mark[1])
  local v = redis.call('HMGET', record, 'status', 'token', 'attempt')
  if v[1] == 'running' and v[2] == mark[2] then
    redis.call('HSET', record, 'step', mark[3], 'steps', mark[4])
    local news = {attempt = tonumber(v[3]), step = tonumber(mark[3]), steps = tonumber(mark[4])}
    redis.call('PUBLISH', key('events', mark[1]), cjson.encode(news))
    noted = noted + 1
  end
end
return {0, noted}
