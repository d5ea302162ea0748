"""Where pictures and files lie that pass no Redis: a folder of this service, or any S3 address."""

from shared.objects.store import ObjectStore, ObjectUnavailable, open_store

__all__ = ["ObjectStore", "ObjectUnavailable", "open_store"]
