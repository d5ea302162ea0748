#!lua flags=no-writes
-- How much a model's queue holds and how fast it drains. Changes nothing.
-- @arg prefix string prefix of every key
-- @arg model string the model
-- @arg live_ms ms how old a heartbeat a live worker may have
-- @derives queue, backlog, pace, serving
-- @returns {0, queued, backlog, pace_ms, workers} pace_ms as a string, empty where nothing was learned yet
local model = ARGV[2]
return {0, redis.call('ZCARD', key('queue', model)), tonumber(redis.call('GET', key('backlog', model)) or '0'),
  redis.call('HGET', key('pace'), model) or '', redis.call('ZCOUNT', key('serving', model), now - tonumber(ARGV[3]), '+inf')}
