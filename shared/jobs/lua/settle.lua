#!lua flags=allow-oom
-- Note how a try went. Safe to send twice.
-- @arg prefix string prefix of every key
-- @arg id string the job
-- @arg token string the try's fence
-- @arg outcome string delivered; retry: it is tried again; never: it is given up
-- @arg status count the status of the answer; 0: there was none
-- @arg error string why it was not delivered; empty where it was
-- @arg pause_ms ms the pause before the next try
-- @arg give_up_ms ms no further try later than this after the job's end
-- @derives deliveries, delivering, job, counts
-- @returns {0, state} delivered, pending or given_up; {-1} no such job, {-2} no longer this courier's
local job = read(ARGV[2])
if not job then
  redis.call('ZREM', key('deliveries'), ARGV[2])
  return {-1}
end
local record, outcome, pause_ms = key('job', job.id), ARGV[4], tonumber(ARGV[7])
local v = redis.call('HMGET', record, 'delivery_token', 'delivery', 'finished_at', 'delivery_settled')
local delivery = cjson.decode(v[2] or '{}')
if v[4] == ARGV[3] then return {0, delivery.state} end  -- the same call, sent twice by the client library
if v[1] ~= ARGV[3] then return {-2} end
redis.call('ZREM', key('delivering', job.owner), job.id)
delivery.response_status = ARGV[5] ~= '0' and tonumber(ARGV[5]) or nil
delivery.error = ARGV[6] ~= '' and ARGV[6] or nil
if outcome == 'delivered' then
  delivery.state, delivery.delivered_at = 'delivered', now
elseif outcome == 'retry' and now + pause_ms <= tonumber(v[3]) + tonumber(ARGV[8]) then
  delivery.state, delivery.next_attempt_at = 'pending', now + pause_ms
else
  delivery.state = 'given_up'
end
if delivery.state == 'pending' then
  redis.call('ZADD', key('deliveries'), now + pause_ms, job.id)
else
  redis.call('ZREM', key('deliveries'), job.id)
end
redis.call('HSET', record, 'delivery', cjson.encode(delivery), 'delivery_token', '', 'delivery_settled', ARGV[3])
count(job.model, 'webhook', delivery.state == 'pending' and 'failed' or delivery.state)
return {0, delivery.state}
