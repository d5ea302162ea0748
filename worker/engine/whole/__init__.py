"""Pipelines without a row adapter: drawn whole, one image after the other, with the device to themselves."""
