"""The notebook: the ``%qwen3ft`` magic, the views it returns, forms, and the reporters that show progress in a cell."""
