"""What the API and the worker must agree on: the life of a job, the catalogue, settings, errors."""
