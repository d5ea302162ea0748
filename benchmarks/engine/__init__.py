"""The engine against what others do with the same pipeline and work: ``python -m benchmarks.engine``."""
