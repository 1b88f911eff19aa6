"""Takes the pictures of README and docs, docs/images/*.png, from a live JupyterLab with the practice model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

UI_TESTS = Path(__file__).resolve().parent.parent / "tests" / "ui"


def main() -> int:
    """Run the browser, and return its exit status."""
    jlpm = str(Path(sys.executable).with_name("jlpm"))
    if not (UI_TESTS / "node_modules").exists():
        subprocess.run([jlpm, "install", "--immutable"], cwd=UI_TESTS, check=True, stdout=subprocess.DEVNULL)
    return subprocess.call([jlpm, "playwright", "test", "--config", "screenshots.config.ts"], cwd=UI_TESTS)


if __name__ == "__main__":
    sys.exit(main())
