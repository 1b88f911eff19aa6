"""Turns a folder of files into a model, and refuses folders that would run a stranger's code.

Nothing here imports torch, transformers or peft before a function that needs them is called.
"""
