"""The life of a job: its statuses, its record, its keys and the scripts that change them."""
