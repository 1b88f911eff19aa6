"""The main job on the practice model: an empty cache, a download, a fine-tune, an answer. Or the same in JupyterLab."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


def main() -> int:
    """Run the demo, or JupyterLab with --lab; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", action="store_true", help="open JupyterLab instead of running the notebook headless")
    parser.add_argument("lab_options", nargs="*", help="options for jupyter lab, after --")
    options = parser.parse_args()
    environ = {
        **os.environ,
        "QWEN3FT_STATE_DIR": str(DEMO / "state"),
        # Without it pip-installed data (the panel, the kernel) of this environment might not be the first found.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    return lab(environ, options.lab_options) if options.lab else demo(environ)


def lab(environ: dict[str, str], extra: list[str]) -> int:
    """Open a copy of the quickstart in JupyterLab; those that it links lie beside it."""
    folder = DEMO / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    # train.jsonl is what the panel's Fine-tune cell names: beside it, that cell runs as it is
    data = ROOT / "qwen3ft_jupyter" / "practice" / "data" / "train.jsonl"
    for source in (*sorted(NOTEBOOK.parent.glob("*.ipynb")), data):
        if not (folder / source.name).exists():
            shutil.copyfile(source, folder / source.name)
    environ["MODEL_CACHE_DIR"] = str(DEMO / "lab-cache")  # empty even after the demo: a download can be seen
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={folder}"]
    # Not the file itself: that is opened in a browser, and the address that is printed leads elsewhere.
    command.append(f"--LabApp.default_url=/lab/tree/{NOTEBOOK.name}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers run as root, and this server listens on loopback only
    print("JupyterLab prints the quickstart's address below; open it if no browser does by itself.", flush=True)
    return subprocess.call([*command, *extra], env=environ)


def demo(environ: dict[str, str]) -> int:
    """Run the quickstart headless and print what it did."""
    import nbformat
    from nbclient import NotebookClient

    started = time.monotonic()
    folder = new_folder(DEMO / "run")
    os.environ.update({**environ, "MODEL_CACHE_DIR": str(folder / "cache")})
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=900,
        kernel_name="python3",
        extra_arguments=["--log-level=40"],  # ipykernel warns of TCP on loopback at every start
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=_announce,
    )
    print("Running notebooks/quickstart.ipynb from an empty cache …", flush=True)
    executed = folder / NOTEBOOK.name
    try:
        asyncio.run(client.async_execute())
    finally:
        nbformat.write(notebook, executed)
    report = _report(notebook)
    _print(report, executed, time.monotonic() - started)
    return 0


def new_folder(path: Path) -> Path:
    """Make a folder called like `path`, or with a number behind that: nothing of an earlier run is deleted."""
    folder, number = path, 1
    while folder.exists():
        number += 1
        folder = path.with_name(f"{path.name}-{number}")
    folder.mkdir(parents=True)
    return folder


def _announce(cell: Any, cell_index: int) -> None:  # noqa: ARG001 - nbclient calls it with these names
    title = cell.metadata.get("demo", "")
    if title:
        print(f"  · {title}", flush=True)


def _report(notebook: Any) -> dict[str, Any]:
    """Return what the notebook's last cell displayed as JSON."""
    for cell in reversed(notebook.cells):
        for output in cell.get("outputs", []):
            data = output.get("data", {}).get("application/json")
            if data is not None:
                return dict(json.loads(data) if isinstance(data, str) else data)
    raise SystemExit("The notebook ended without its report.")


def _print(report: dict[str, Any], executed: Path, seconds: float) -> None:
    download, loaded, tuned = report["download"], report["loaded"], report["fine_tuned"]
    rate = download["bytes"] / max(download["seconds"], 1e-3) / 1e6
    verified = "every file verified" if download["verified"] else "NOT verified"
    rows = {
        "downloaded": f"{download['model_name']}: {download['bytes'] / 1e6:.1f} MB at {rate:.1f} MB/s "
        f"from the embedded hub in {download['hub']}'s protocol, {verified}",
        "cached in": download["folder"],
        "loaded": f"{loaded['parameters'] / 1e6:.2f} M parameters, {loaded['dtype']} on {loaded['device']}",
        "fine-tuned": f"{tuned['method']}, {tuned['steps']} steps in {tuned['seconds']:.0f} s, "
        f"loss {tuned['first_loss']:.2f} → {tuned['last_loss']:.3f}",
        "asked": report["question"],
        "before": report["before"],
        "after": report["after"],
        "held out": f"of {report['held_out']} questions it never saw, {report['held_out_before']} answered before "
        f"and {report['held_out_after']} after",
        "notebook": executed,
        "open it": "make lab",
    }
    print(f"\nFrom an empty cache to a fine-tuned answer in {seconds:.0f} s\n")
    for name, value in rows.items():
        print(f"  {name:<12} {value}")


if __name__ == "__main__":
    sys.exit(main())
