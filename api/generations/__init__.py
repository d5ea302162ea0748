"""Requests for pictures: read, submitted, and answered as their callers want."""
