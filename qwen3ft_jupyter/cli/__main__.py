"""``python -m qwen3ft_jupyter.cli``."""

from __future__ import annotations

import contextlib
import sys

from qwen3ft_jupyter.cli import main

if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # between the last verb and the end of the process
        sys.exit(main())
