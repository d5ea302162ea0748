"""``/v1/batches``: many requests in a file, drawn when nobody waits, as OpenAI has them."""
