"""From decoded pixels to a file: the asked size, looked at, encoded, with its provenance."""
