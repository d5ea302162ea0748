"""An hour of mixed traffic against a whole service, and what is left of it afterwards."""
