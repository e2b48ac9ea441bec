"""What the pages read of the store, kept in memory: the cache of the pages and the cache of values under it. Nothing here draws."""
