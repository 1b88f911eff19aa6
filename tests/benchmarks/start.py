"""What the extension adds to JupyterLab's start, and how fast its panel opens: ``python -m tests.benchmarks.start``.

A real JupyterLab and a real browser. The page is loaded with the extension and without it, in turn, with what the
browser keeps of it; printed are the medians of the time until JupyterLab is restored, then the time from opening the
panel until its first model is drawn, the first time (which loads its code) and later ones, with 300 cached models.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.browser import Browser
from tests.benchmarks.panel import BUNDLE, fill, lab

RESTORED = """(async () => {
  while (window.jupyterapp === undefined) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
  await window.jupyterapp.restored;
  return performance.now();
})()"""
OPENED = """(async () => {
  const began = performance.now();
  await window.jupyterapp.shell.activateById('qwen3ft-panel');
  while (document.querySelector('#qwen3ft-panel:not(.lm-mod-hidden) .jp-Qwen3ft-section li') === null) {
    await new Promise(resolve => requestAnimationFrame(resolve));
  }
  return performance.now() - began;
})()"""
CLOSED = "window.jupyterapp.shell.activateById('filebrowser')"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.start", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=10, help="how often each page is loaded")
    parser.add_argument("--models", type=int, default=300, help="cached models")
    options = parser.parse_args()
    print(f"{os.cpu_count()} CPUs shared by all; load before the start {os.getloadavg()[0]:.1f}")
    print_bundle()
    with tempfile.TemporaryDirectory(prefix="qwen3ft-start-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_measure(Path(folder), options.rounds, options.models))


def print_bundle() -> None:
    """Print how large the files of the front end are."""
    for path in sorted(BUNDLE.glob("static/*.js"), key=lambda each: -each.stat().st_size):
        size, packed = path.stat().st_size / 1000, len(gzip.compress(path.read_bytes())) / 1000
        print(f"  {path.name.partition('.')[0]:12} {size:6.1f} kB, {packed:5.1f} gzip")


async def _measure(folder: Path, rounds: int, models: int) -> None:
    times: dict[str, list[float]] = {"with": [], "without": []}
    opened: list[list[float]] = []
    with contextlib.ExitStack() as stack:
        ports: dict[str, int] = {}
        for name in times:
            (folder / name).mkdir()
            fill(folder / name, 0, models if name == "with" else 0)
            if name == "without":
                config = folder / name / "config" / "labconfig" / "page_config.json"
                config.parent.mkdir()
                config.write_text(json.dumps({"disabledExtensions": {"qwen3ft-jupyter": True}}), "utf-8")
            ports[name] = stack.enter_context(lab(folder / name))
        async with Browser.open(folder / "browser") as browser:
            for number in range(rounds + 1):
                for name, port in ports.items():
                    await browser.open_page(f"http://127.0.0.1:{port}/lab?reset")
                    restored = await browser.run(RESTORED)
                    if number > 0:  # the first one fills the browser's cache
                        times[name].append(restored)
                    if name == "with":
                        opened.append([])
                        for _ in range(3):
                            opened[-1].append(await browser.run(OPENED))
                            await browser.run(CLOSED)
    ours, bare = (statistics.median(times[name]) for name in ("with", "without"))
    more = f"{ours - bare:+.0f} ms, {ours / bare:.2f}x"
    print(f"  restored after {ours:.0f} ms with the extension, {bare:.0f} ms without: {more}")
    first, later = statistics.median(each[0] for each in opened), statistics.median(min(each[1:]) for each in opened)
    print(f"  the panel opens in {first:.0f} ms the first time, {later:.0f} ms later ({models} cached models)")


if __name__ == "__main__":
    main()
