#!lua flags=allow-oom
-- Take the batch that is due for longest, for as long as a lease: who writes to it shows the token.
-- @arg prefix string prefix of every key
-- @arg token string the fence of what is written during this turn
-- @arg lease_ms ms when it is due again, if nothing is heard of this turn
-- @derives batches, batch
-- @returns {0, id}; {0} nothing is due
while true do
  local id = redis.call('ZRANGEBYSCORE', key('batches'), '-inf', now, 'LIMIT', 0, 1)[1]
  if not id then return {0} end
  if redis.call('EXISTS', key('batch', id)) == 1 then
    redis.call('ZADD', key('batches'), now + tonumber(ARGV[3]), id)
    redis.call('HSET', key('batch', id), 'token', ARGV[2])
    return {0, id}
  end
  redis.call('ZREM', key('batches'), id)
end
