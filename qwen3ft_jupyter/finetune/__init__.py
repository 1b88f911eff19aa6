"""Fine-tunes a Qwen3 on conversations, and talks to the result.

Nothing here imports torch, transformers or peft before a function that needs them is called.
"""
