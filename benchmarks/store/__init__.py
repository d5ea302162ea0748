"""What a job costs Redis, and where that ends: python -m benchmarks.store."""
