"""Starts JupyterLab for the browser tests: an empty cache, and no hub to be reached."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUNDLE = ROOT / "qwen3ft_jupyter" / "labextension"

NO_HUB = "http://127.0.0.1:9"
"""The discard port: connections are refused at once. The practice model comes with the package."""

LOGINS = frozenset({"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "MODELSCOPE_API_TOKEN"})
"""Whoever runs the tests may be logged in at a hub; the tests are not."""


def main() -> int:
    given = os.environ.get("QWEN3FT_UI_FOLDER")
    if given:  # a test that has to know where jobs and runs lie makes the folder, and deletes it
        sys.path.insert(0, str(ROOT))
        from tests.upload_hub import TOKEN, UploadHub

        with UploadHub() as hub:  # takes what such a test publishes
            return run_lab(Path(given), {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN})
    with tempfile.TemporaryDirectory(prefix="qwen3ft-ui-", ignore_cleanup_errors=True) as folder:
        return run_lab(Path(folder), {})


def run_lab(folder: Path, given: dict[str, str]) -> int:
    """Serve until it is ended; `given` are variables beside those that keep it apart from the machine's own."""
    # Before what is installed: a stale copy there would be tested instead.
    labextensions = folder / "labextensions"
    labextensions.mkdir()
    (labextensions / "qwen3ft-jupyter").symlink_to(BUNDLE, target_is_directory=True)
    environ = {
        **{name: value for name, value in os.environ.items() if name not in LOGINS},
        "HF_ENDPOINT": NO_HUB,
        "HF_TOKEN_PATH": str(folder / "no-token"),
        "JUPYTERLAB_GALATA_ROOT_DIR": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "MODELSCOPE_CREDENTIALS_PATH": str(folder / "no-credentials"),
        "MODELSCOPE_ENDPOINT": NO_HUB,
        "MODEL_CACHE_DIR": str(folder / "cache"),
        "QWEN3FT_STATE_DIR": str(folder / "state"),
        "QWEN3FT_UI_LABEXTENSIONS": str(labextensions),
        **given,
    }
    lab = subprocess.Popen(
        [sys.executable, "-m", "jupyter", "lab", "--config", str(HERE / "jupyter_server_test_config.py")],
        cwd=folder,
        env=environ,
    )
    signal.signal(signal.SIGTERM, lambda *_: lab.terminate())
    signal.signal(signal.SIGINT, lambda *_: lab.terminate())
    return lab.wait()


if __name__ == "__main__":
    sys.exit(main())
