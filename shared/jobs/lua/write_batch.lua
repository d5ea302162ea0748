#!lua flags=allow-oom
-- Write what a turn has done, all of it at once, and say when the batch is due again. Safe to send twice in a row.
-- @key batch hash the batch
-- @arg prefix string prefix of every key
-- @arg id string the batch
-- @arg token string the turn's fence
-- @arg status string the status that the turn found; another one by now: nothing is written
-- @arg step string a name of this write, no other's of the turn: one that is sent twice counts once
-- @arg fields json what is set
-- @arg pending json lines whose jobs are about to be made, {line: "offset bytes"}
-- @arg settled json lines that have ended, {line: "completed" or "failed"}
-- @arg refused json what a call would have been answered, as JSON, by the lines that got no job
-- @arg next_ms ms when it is due again; -1: it has ended
-- @arg released flag 1: this turn is over
-- @arg ttl_ms ms how long it is kept when it has ended
-- @derives batches, unfinished_batches, batch_pending, batch_refused, file, objects, counts
-- @returns {0}; {-2} the batch is another turn's, or was cancelled meanwhile; {-23} it is gone
local id, pending, refused = ARGV[2], key('batch_pending', ARGV[2]), key('batch_refused', ARGV[2])
local v = redis.call('HMGET', KEYS[1], 'owner', 'token', 'status', 'step', 'input_file_id')
if not v[1] then return {-23} end
if v[4] == ARGV[5] then return {0} end
if v[2] ~= ARGV[3] or v[3] ~= ARGV[4] then return {-2} end
local flat, next_ms = {'step', ARGV[5]}, tonumber(ARGV[10])
for name, value in pairs(cjson.decode(ARGV[6])) do
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end
redis.call('HSET', KEYS[1], unpack(flat))
for line, where in pairs(cjson.decode(ARGV[7])) do redis.call('HSET', pending, line, where) end
for line, words in pairs(cjson.decode(ARGV[9])) do redis.call('HSET', refused, line, words) end
for line, how in pairs(cjson.decode(ARGV[8])) do
  if redis.call('HDEL', pending, line) == 1 then redis.call('HINCRBY', KEYS[1], how, 1) end
end
if next_ms >= 0 then
  redis.call('ZADD', key('batches'), now + next_ms, id)
  if ARGV[11] == '1' then redis.call('HSET', KEYS[1], 'token', '') end
  return {0}
end
redis.call('ZREM', key('batches'), id)
redis.call('ZREM', key('unfinished_batches', v[1]), id)
redis.call('DEL', pending, refused)
redis.call('PEXPIRE', KEYS[1], ARGV[12])
if redis.call('EXISTS', key('unfinished_batches', v[1])) == 0 then redis.call('PEXPIRE', key('batches', v[1]), ARGV[12]) end
count('', 'batches', redis.call('HGET', KEYS[1], 'status'))
-- The file may go from now on: when it was to, or in a while where that has passed.
local file, name = key('file', v[5]), 'files/' .. v[5]
local expires_at = tonumber(redis.call('HGET', file, 'expires_at') or '0')
if expires_at > 0 and redis.call('HINCRBY', file, 'readers', -1) <= 0 then
  redis.call('PEXPIREAT', file, math.max(expires_at, now + 60000))
  redis.call('ZADD', key('objects'), math.max(expires_at, now + 60000) + 60000, name)
end
return {0}
