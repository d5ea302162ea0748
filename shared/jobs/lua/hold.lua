#!lua flags=allow-oom
-- Say that callers still wait for these jobs.
-- @arg prefix string prefix of every key
-- @arg holder string the process that holds their calls
-- @arg hold_ms ms how long this counts
-- @arg ids json list of job ids
-- @derives job, held, holders
-- @returns {0}
for _, id in ipairs(cjson.decode(ARGV[4])) do
  local job = read(id)
  -- Of a job that has ended, the picture may be on its way to a caller that takes it slowly.
  if job and (is_live(job) or score(key('holders', id), ARGV[2])) then hold(job, ARGV[2], now + tonumber(ARGV[3])) end
end
return {0}
