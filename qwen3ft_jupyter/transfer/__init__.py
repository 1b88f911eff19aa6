"""Moves bytes onto the disk: planned, in pieces, over several connections, resumable, and verified by digest."""
