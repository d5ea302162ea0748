#!lua flags=allow-oom
-- Count a request against a limit: a budget that is whole again a window after it was spent, and grows back evenly.
-- @key rate string the instant (ms) at which the whole budget is there again
-- @arg prefix string prefix of every key
-- @arg limit count requests that the budget is for
-- @arg window_ms ms in which it grows back
-- @returns {0, allowed, left, whole_ms, wait_ms} allowed 1 or 0; requests left; ms until the budget is whole; ms until the next request is allowed
local limit, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local each = window / limit
local whole_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local after = whole_at + each
if after - now > window + 0.5 then
  return {0, 0, 0, math.ceil(whole_at - now), math.ceil(after - now - window)}
end
redis.call('SET', KEYS[1], exact(after), 'PX', math.ceil(after - now))
return {0, 1, math.max(0, math.floor((window - (after - now)) / each + 0.5)), math.ceil(after - now), 0}
