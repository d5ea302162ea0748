"""``/v1/files``: files of batches, as OpenAI has them."""
