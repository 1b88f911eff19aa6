"""Measures downloads side by side, and calls on what is cached: ``make bench``, or ``python -m tests.benchmarks``.

Every program is as its makers ship it. Each fetches the same generated model from a hub on loopback, cold, into a home
of its own, in turns; afterwards every byte it got is compared. Only ours syncs to disk before it says that it is done.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.models import MB
from tests.benchmarks.scenarios import SCENARIOS, Plan


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(prefix="qwen3ft-bench-") as scratch:
        sizes = (int(options.size * MB), int(options.large * MB))
        plan = Plan(Path(scratch), *sizes, options.models, options.clients, options.rounds)
        _print_header(plan)
        for name in options.only or SCENARIOS:
            SCENARIOS[name](plan)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=float, help="size of the model in MB (500; quick: 64)")
    parser.add_argument("--large", type=float, help="size in MB of the download whose memory is looked at (3000; 256)")
    parser.add_argument("--models", type=int, help="models in the list (1000; quick: 100)")
    parser.add_argument("--clients", type=int, help="clients of our mirror at once (300; quick: 30)")
    parser.add_argument("--rounds", type=int, help="downloads of each program (3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="less of everything: shows that it works")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="may be given several times")
    options = parser.parse_args()
    names = ("size", "large", "models", "clients", "rounds")
    defaults = (64.0, 256.0, 100, 30, 1) if options.quick else (500.0, 3000.0, 1000, 300, 3)
    for name, default in zip(names, defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


def _print_header(plan: Plan) -> None:
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "?"
    others = ", ".join(f"{name} {version(name)}" for name in ("huggingface_hub", "modelscope"))
    print(f"{plan.size / MB:.0f} MB, medians of {plan.rounds} rounds; Python {platform.python_version()}, {others}")
    print(f"{os.cpu_count()} CPUs, shared with the hub; load before the start {busy}; {sys.platform}, loopback")
    print("checks: what a program compares of the bytes it got. peak: resident memory of its largest process.")


if __name__ == "__main__":
    main()
