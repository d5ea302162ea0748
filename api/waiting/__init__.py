"""Calls that wait for jobs: who wakes them, and how the store learns that somebody waits."""
