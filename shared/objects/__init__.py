"""Where pictures and files lie that pass no Redis: a folder of this service, or any S3 address."""

from shared.errors import ObjectUnavailable
from shared.objects.store import ObjectStore, ObjectWriter, open_store

__all__ = ["ObjectStore", "ObjectUnavailable", "ObjectWriter", "open_store"]
