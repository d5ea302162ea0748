"""The built-in list of terms on prompts that it was not written for: ``python -m benchmarks.moderation``."""
