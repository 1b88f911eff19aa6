"""Which hub, which cache, which tokens: every setting, where it may come from, and where it did come from.

To add a setting, add one field to `declared.Settings`.
"""
