"""Objects of the store of results: their addresses, and what is served at those of a folder."""
