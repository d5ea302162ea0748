"""Who calls: keys, owners, scopes, and how often each may ask."""
