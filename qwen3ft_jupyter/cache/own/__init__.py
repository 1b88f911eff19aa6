"""Our own models: how their folders look, how they come, are checked and go; the shared caches are read like ours."""
