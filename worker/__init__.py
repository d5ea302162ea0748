"""The Celery process on one device: claims jobs, draws them with its engine, finishes them."""
