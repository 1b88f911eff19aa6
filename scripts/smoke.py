"""Try an installed wheel: import it, ask Jupyter for both extensions, download the practice model; ``--load`` loads it.

Needs no checkout on the path, no network and no Node.js. Run it outside the repository's root.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run every step; the first that fails ends it."""
    import qwen3ft_jupyter

    if "site-packages" not in qwen3ft_jupyter.__file__:
        sys.exit("This is the checkout, not the installed wheel: run it from another folder.")
    for words in (["server", "extension", "list"], ["labextension", "list"]):
        listed = subprocess.run([sys.executable, "-m", "jupyter", *words], capture_output=True, text=True, check=True)
        report = listed.stdout + listed.stderr
        if "qwen3ft" not in report:
            sys.exit(f"jupyter {' '.join(words)} does not know it:\n{report}")
    with tempfile.TemporaryDirectory() as folder:
        manager = qwen3ft_jupyter.get_model_manager(cache_dir=Path(folder) / "models", state_dir=Path(folder) / "state")
        model = manager.ensure_model_cached("qwen3ft/Qwen3-Practice")
        print("downloaded", sorted(path.name for path in Path(model).iterdir()))
        if "--load" in sys.argv[1:]:
            print(manager.chat("qwen3ft/Qwen3-Practice", "你是谁？"))


if __name__ == "__main__":
    main()
