"""The Jupyter server extension: REST routes under ``qwen3ft/`` and events that say what changed.

Importing it costs next to nothing and brings in no torch, transformers or hub client: every JupyterLab pays for it.
"""
