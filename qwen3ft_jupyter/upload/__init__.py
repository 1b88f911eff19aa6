"""Puts files into a repo of a hub, through the hub's own client."""
