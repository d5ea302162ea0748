"""Working on batches: a turn at a time; Redis knows all that the next one needs, whoever takes it."""
