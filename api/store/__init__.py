"""The job store, as the API uses it: one client, and a class a subject."""
