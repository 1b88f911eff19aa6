"""What a running fine-tune costs the browser, view by view: ``python -m tests.benchmarks.views``.

A real JupyterLab and a real browser. First the page without the extension, then with it and with a fine-tune that takes
several steps a second: nothing of it shown but the status bar, the panel, the view of the run, both, and the output of
a cell. The views take turns; printed are means over all rounds of what they take of a core: all processes of the
browser, the page's own, and its main thread. Needs chromium; `CHROMIUM_PATH` may name it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.browser import Browser
from tests.benchmarks.panel import BUNDLE, SETTLE_S, ask, fill, lab, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLLECT_S = 2.0
MODEL = "Qwen/Qwen3-0.6B"
NOTEBOOK = "job.ipynb"

SHELL = "window.jupyterapp.shell"
EXECUTE = "window.jupyterapp.commands.execute"
PANEL, NO_PANEL = f"{SHELL}.activateById('qwen3ft-panel')", f"{SHELL}.activateById('filebrowser')"
CLOSE = "Promise.all([...window.jupyterapp.shell.widgets('main')].map(each => each.close())).then(() => null)"
OPEN_NOTEBOOK = (
    f"{EXECUTE}('docmanager:open', {{path: '{NOTEBOOK}'}}).then(widget => widget.context.ready).then(() => null)"
)

Spent = dict[str, dict[str, list[float]]]
"""Shares of a core: by the view, by what is counted, one for each round."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.views", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each view is measured in a round")
    parser.add_argument("--rounds", type=int, default=3, help="how often each view has its turn")
    parser.add_argument("--rate", type=float, default=5.0, help="steps a second")
    parser.add_argument(
        "--beside", type=Path, help="another build of the front end, in turn with that of this checkout"
    )
    parser.add_argument("--profile", type=Path, help="folder for a profile of the scripts of each view")
    options = parser.parse_args()
    load = f"load before the start {os.getloadavg()[0]:.1f}"
    print(f"{os.cpu_count()} CPUs shared by all; {load}; {options.rounds} rounds of {options.seconds:.0f} s each")
    with tempfile.TemporaryDirectory(prefix="qwen3ft-views-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_measure(Path(folder), options))


async def _measure(folder: Path, options: argparse.Namespace) -> None:
    spent: Spent = defaultdict(lambda: defaultdict(list))
    async with contextlib.AsyncExitStack() as stack:
        alone = stack.enter_context(lab_alone(folder / "alone"))
        builds = {"": BUNDLE} if options.beside is None else {"": BUNDLE, "beside: ": options.beside.resolve()}
        labs = {
            name: stack.enter_context(lab_with_run(folder / f"with {number}", bundle, options.rate))
            for number, (name, bundle) in enumerate(builds.items())
        }
        browser = await stack.enter_async_context(Browser.open(folder / "browser"))
        for number in range(options.rounds):
            views = Views(browser, options.seconds, spent, options.profile if number == 0 else None)
            await measure_alone(views, alone)
            for name, (port, job_id) in labs.items():
                await measure_ours(views, name, port, job_id)
    print_table(spent)


@contextlib.contextmanager
def lab_alone(folder: Path) -> Iterator[int]:
    """Yield the port of a JupyterLab without the extension."""
    folder.mkdir()
    fill(folder, 0, 0)
    page_config = folder / "config" / "labconfig" / "page_config.json"
    page_config.parent.mkdir()
    page_config.write_text(json.dumps({"disabledExtensions": {"qwen3ft-jupyter": True}}), "utf-8")
    write_notebook(folder, {"text/plain": "saved"})
    with lab(folder) as port:
        yield port


@contextlib.contextmanager
def lab_with_run(folder: Path, bundle: Path, rate: float) -> Iterator[tuple[int, str]]:
    """Yield the port of a JupyterLab with a build of the extension, and the id of a fine-tune that runs there."""
    folder.mkdir()
    fill(folder, 0, 0)
    params = {"config": {"model": MODEL, "output_dir": str(folder / "runs" / "first")}, "step_s": 1 / rate}
    with running(folder, "finetune", f"Fine-tune {MODEL} → first", params) as job:
        write_notebook(folder, {"application/vnd.qwen3ft.job+json": {"id": job.id}, "text/plain": "saved"})
        with lab(folder, bundle) as port:
            yield port, job.id


async def measure_alone(views: Views, port: int) -> None:
    """Measure JupyterLab without the extension: its launcher, and a notebook."""
    await views.show_lab(port)
    await views.measure("JupyterLab alone")
    await views.browser.run(f"{CLOSE}.then(() => {OPEN_NOTEBOOK})")
    await views.measure("JupyterLab alone, a notebook")


async def measure_ours(views: Views, name: str, port: int, job_id: str) -> None:
    """Measure each view of the running fine-tune."""
    await views.show_lab(port)
    await views.measure(f"{name}status bar", port)
    await views.browser.run(PANEL)
    await views.measure(f"{name}panel", port)
    await views.browser.run(f"{EXECUTE}('qwen3ft:open-run', {{job_id: '{job_id}'}}).then(() => null)")
    await views.browser.wait_for("document.querySelectorAll('.jp-Qwen3ft-plot').length > 4")
    await views.measure(f"{name}panel and run", port)
    await views.browser.run(NO_PANEL)
    await views.measure(f"{name}run", port)
    await views.browser.run(f"{CLOSE}.then(() => {OPEN_NOTEBOOK})")
    await views.browser.wait_for("!!document.querySelector('.jp-Qwen3ft-output .jp-Qwen3ft-sparkline')")
    await views.measure(f"{name}output of a cell", port)


class Views:
    """Counts what views take."""

    def __init__(self, browser: Browser, seconds: float, spent: Spent, profile: Path | None) -> None:
        self.browser = browser
        self._seconds, self._spent, self._profile = seconds, spent, profile

    async def show_lab(self, port: int) -> None:
        """Open JupyterLab anew, with nothing in its main area but the launcher."""
        await self.browser.show_lab(f"http://127.0.0.1:{port}/lab?reset")
        await self.browser.run(f"{CLOSE}.then(() => {EXECUTE}('launcher:create')).then(() => null)")

    async def measure(self, name: str, port: int = 0) -> None:
        """Count what is taken while nobody touches the page, and by `port` what is asked of the server."""
        await asyncio.sleep(SETTLE_S)
        await self.browser.collect_garbage()  # or it does so in the midst, ten seconds after a view was opened
        await asyncio.sleep(COLLECT_S)
        if port:
            ask(port, "probe/start")
        before = await self.browser.counters()
        await asyncio.sleep(self._seconds)
        after = await self.browser.counters()
        for key, value in after.items():
            self._spent[name][key].append((value - before[key]) / self._seconds)
        if port:
            requests = ask(port, "probe/stop")["requests"]
            self._spent[name]["requests"].append(sum(requests.values()) / self._seconds)
        if self._profile is not None:
            write_profile(self._profile, name, await self.browser.profile(self._seconds))


def write_notebook(folder: Path, data: Mapping[str, object]) -> None:
    """Write a notebook with a cell that has an output."""
    output = {"output_type": "display_data", "metadata": {}, "data": data}
    cell = {"id": "a", "cell_type": "code", "execution_count": 1, "metadata": {}, "source": "", "outputs": [output]}
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": [cell], "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
    (folder / NOTEBOOK).write_text(json.dumps(content), "utf-8")


def write_profile(folder: Path, name: str, profile: Mapping[str, object]) -> None:
    """Write what the browser's developer tools open."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.cpuprofile").write_text(json.dumps(profile), "utf-8")


def print_table(spent: Spent) -> None:
    """Print what each view took."""
    keys = ("browser", "process", "TaskDuration", "ScriptDuration", "LayoutDuration")
    print(f"  {'share of a core':40}" + "".join(f"{each.removesuffix('Duration'):>10}" for each in keys) + "  requests")
    for name, counted in spent.items():
        shares = "".join(f"{statistics.mean(counted[key]):10.2%}" for key in keys)
        asked = f"{statistics.mean(counted['requests']):8.1f}/s" if "requests" in counted else ""
        print(f"  {name:40}{shares}{asked}   ({', '.join(f'{each:.1%}' for each in counted['browser'])})")


if __name__ == "__main__":
    main()
