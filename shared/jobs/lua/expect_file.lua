#!lua
-- Note a file's name before its bytes are written, so that what nobody finishes is deleted; or say that its owner has
-- too much. Safe to send twice.
-- @arg prefix string prefix of every key
-- @arg owner string whose it is
-- @arg object string its name in the store of objects
-- @arg bytes bytes what it takes
-- @arg keep_ms ms how long whoever writes it has for it
-- @arg max_files count most uploaded files of an owner; 0: this one is not uploaded, and counts nowhere
-- @arg max_bytes bytes what they may take in all
-- @derives file, files, objects
-- @returns {0}; {-21} there are too many, or they take too much
local files, max_files = key('files', ARGV[2]), tonumber(ARGV[6])
local count_of, bytes = 1, tonumber(ARGV[4])
for _, id in ipairs(max_files > 0 and redis.call('ZRANGE', files, 0, -1) or {}) do
  local v = redis.call('HMGET', key('file', id), 'purpose', 'bytes')
  if not v[1] then
    redis.call('ZREM', files, id)
  elseif v[1] == 'batch' then
    count_of, bytes = count_of + 1, bytes + tonumber(v[2])
  end
end
if max_files > 0 and (count_of > max_files or bytes > tonumber(ARGV[7])) then return {-21} end
redis.call('ZADD', key('objects'), now + tonumber(ARGV[5]), ARGV[3])
return {0}
