"""``qwen3ft``, ``python -m qwen3ft_jupyter``, and the file that our own processes are started with."""

from __future__ import annotations

import contextlib
import gc
import sys
from pathlib import Path


def _find_package() -> None:
    """Make this very package importable although the file was started by its path.

    Python has then put the package's own folder first on the search path, where its modules would hide others. And the
    interpreter may be of another environment than the folder this package lies in, whose other packages it must not
    see: so that folder is on the path only while our package is found.
    """
    package = Path(__file__).resolve().parent
    root = str(package.parent)
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != package]
    sys.path.insert(0, root)
    import qwen3ft_jupyter  # noqa: F401

    sys.path.remove(root)
    if package.parent.name not in ("site-packages", "dist-packages"):
        sys.path.append(root)  # a checkout: processes that this one starts with `spawn` get the path and find it, too


if not __package__:
    _find_package()


def main() -> int:
    """Run a job or look ahead at one, without the command line's parser; or run one command."""
    if sys.argv[1:2] == ["run"] and len(sys.argv) == 3:
        from qwen3ft_jupyter.jobs import worker
        from qwen3ft_jupyter.manager.kinds import KINDS

        return worker.main(sys.argv[2], KINDS)
    if sys.argv[1:2] == ["rank"] and len(sys.argv) == 3:
        from qwen3ft_jupyter.finetune import rank

        return rank.main(sys.argv[2])
    if sys.argv[1:] == ["ahead"]:
        from qwen3ft_jupyter.manager import ahead

        return ahead.main()
    if sys.argv[1:2] == ["dry-run"]:
        if sys.argv[2:] != ["quantized"]:
            sys.modules["bitsandbytes"] = None  # type: ignore[assignment]  # peft would import it: a quarter of the time
        gc.disable()  # a fifth of the time of these imports goes into looking for garbage where there is none
        with contextlib.redirect_stdout(sys.stderr):  # libraries print
            import peft  # noqa: F401  # now, while whoever asks still reads the data

        from qwen3ft_jupyter.finetune.compute import tried

        gc.freeze()
        gc.enable()  # what a step leaves in cycles counts until it is found
        return tried.main()
    gc.set_threshold(50_000)  # else each import looks for garbage where there is none: 11 of the 160 ms of a list
    try:
        from qwen3ft_jupyter.cli import main as run_command

        return run_command()
    except KeyboardInterrupt:  # while the command line is still being imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
