"""Models on the device: which, how they are loaded, and what their pipelines are asked for."""
