"""What the containers run: one short command, the same in each; what is to be done is in files on the mount. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qwen3ft_jupyter.dlc.options import Options
    from qwen3ft_jupyter.finetune.config import FineTuneConfig

LACKS_PACKAGE = 3
"""Exit code of a container whose Python has not got this package."""
LACKS_WORDS = "qwen3ft: the Python of this container has no qwen3ft_jupyter"
"""What such a container writes to its log."""
NOT_SENT = ("launcher", "dlc", "hosts", "hosts_address")
"""Fields that say where a fine-tune runs: in the containers it is here."""
PATHS = ("output_dir", "init_from", "from_run")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the containers find what they need, by their own paths."""

    config: str
    """The file with the fine-tune's config."""
    state: str
    """The folder for the job that runs there."""
    cache: str
    """The folder of cached models."""


def config_for_containers(config: FineTuneConfig, options: Options) -> dict[str, Any]:
    """Return the config as the containers take it: its paths are theirs. All have been checked."""
    values = {name: value for name, value in config.to_dict().items() if name not in NOT_SENT}
    for name in PATHS:
        if values.get(name):
            values[name] = options.paths.there(values[name])
    return {**values, "data": [options.paths.there(item) for item in config.data]}


def user_command(options: Options, places: Places) -> str:
    """Return the command of every container.

    DLC's WORLD_SIZE is the number of hosts and its RANK the host's index: they are handed over as such, and what is
    started takes them out of its environment. A job of one host may come without them.
    """
    python = shlex.quote(options.dlc.python)
    environ = {"QWEN3FT_STATE_DIR": places.state, "MODEL_CACHE_DIR": places.cache, "QWEN3FT_OFFLINE": "true"}
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
    lines = []
    if options.dlc.install:
        lines.append(f"{python} -m pip install --quiet {_requirements(options.dlc.install)} || exit $?")
    nodes = '--nodes "${WORLD_SIZE:-1}" --node "${RANK:-0}" --master "${MASTER_ADDR:-127.0.0.1}:${MASTER_PORT:-23456}"'
    lines += [
        f"{python} -c 'import qwen3ft_jupyter' || {{ echo {shlex.quote(LACKS_WORDS)} >&2; exit {LACKS_PACKAGE}; }}",
        f"export {exports}",
        f"exec {python} -m qwen3ft_jupyter finetune {shlex.quote(places.config)} {nodes}",
    ]
    return "\n".join(lines)


def _requirements(text: str) -> str:
    return " ".join(map(shlex.quote, shlex.split(text)))
