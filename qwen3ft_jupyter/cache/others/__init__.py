"""Models that other tools keep on this disk: found, copied from, used where they are, deleted when asked to."""
