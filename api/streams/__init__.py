"""What a job does, as server-sent events: in OpenAI's words for the call that made it, in ours for others."""
