"""Jobs and their results, as callers see them."""
