"""Pictures from pictures: what `POST /v1/images/edits` takes, and what becomes of its files."""
