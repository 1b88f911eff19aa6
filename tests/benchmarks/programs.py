"""The programs that are measured, as their makers ship them, and how each is told to download a model."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.models import REPO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_KEPT = {"LANG", "OPENSSL_ia32cap", "PATH", "TMPDIR"}
BIN = Path(sys.executable).parent
NOWHERE = "http://127.0.0.1:9"
"""An address that refuses connections: the hub that is not there."""


@dataclass(frozen=True, slots=True)
class Place:
    """The home of one program, and the hubs it is told of."""

    home: Path
    urls: tuple[str, ...]

    @property
    def target(self) -> Path:
        """Where the model is to lie."""
        return self.home / "target"

    @property
    def environment(self) -> dict[str, str]:
        """Everything a program is told. The machine's own caches, logins and settings are not among it."""
        kept = {name: value for name, value in os.environ.items() if name in _KEPT}
        return kept | {
            "HOME": str(self.home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "MODELSCOPE_ENDPOINT": self.urls[0],
            "HF_ENDPOINT": self.urls[-1],
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "MODEL_CACHE_DIR": str(self.target),
        }

    def links(self, name: str) -> list[str]:
        """Return where a file can be had."""
        return [f"{url}/{REPO}/resolve/main/{name}" for url in self.urls]


@dataclass(frozen=True, slots=True)
class Program:
    """A program with its options."""

    name: str
    checks: str
    """What it knows of the bytes when it says that it is done."""
    command: Callable[[Place, list[str]], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""
    """A command that has to be there."""

    @property
    def is_here(self) -> bool:
        """Return whether it can be run on this machine."""
        return not self.needs or shutil.which(self.needs) is not None


def _ours(_place: Place, _names: list[str]) -> list[str]:
    return [sys.executable, "-m", "qwen3ft_jupyter", "download", REPO]


def _floor(place: Place, names: list[str]) -> list[str]:
    addresses = [" ".join(place.links(name)) for name in names]
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name("floor.py")), "16", str(place.target), *addresses]


def _hf(*options: str) -> Callable[[Place, list[str]], list[str]]:
    return lambda place, _: [str(BIN / "hf"), "download", REPO, "--local-dir", str(place.target), *options]


def _modelscope(place: Place, _names: list[str]) -> list[str]:
    return [str(BIN / "modelscope"), "download", REPO, "--local_dir", str(place.target)]


def _curl(*options: str) -> Callable[[Place, list[str]], list[str]]:
    def command(place: Place, names: list[str]) -> list[str]:
        pairs = [("-o", str(place.target / name), place.links(name)[0]) for name in names]
        words = [word for pair in pairs for word in pair]
        return [shutil.which("curl") or "curl", "-sS", "--fail", "--create-dirs", *options, *words]

    return command


def _aria2c(*options: str) -> Callable[[Place, list[str]], list[str]]:
    def command(place: Place, names: list[str]) -> list[str]:
        links = place.home / "links.txt"
        links.write_text("".join("\t".join(place.links(name)) + f"\n out={name}\n" for name in names), "utf-8")
        words = ["--quiet", "--no-conf", "--min-split-size=1M", f"--dir={place.target}", f"--input-file={links}"]
        return [shutil.which("aria2c") or "aria2c", *words, *options]

    return command


_PARALLEL = {
    "MODELSCOPE_DOWNLOAD_PARALLEL_WORKERS": "16",
    "MODELSCOPE_DOWNLOAD_PARALLEL_THRESHOLD_MB": "1",
    "MODELSCOPE_DOWNLOAD_PART_SIZE_MB": "16",
}
FLOOR = Program("the barest program", "sha256", _floor)
OURS = Program("qwen3ft download", "sha256", _ours)
OURS_ONE_HUB = Program("qwen3ft download, one hub", "sha256", _ours, {"HF_ENDPOINT": NOWHERE})
HF = Program("hf download", "size", _hf())
HF_TUNED = Program("hf download --max-workers 16", "size", _hf("--max-workers", "16"))
MODELSCOPE = Program("modelscope download", "sha256", _modelscope)
MODELSCOPE_TUNED = Program("modelscope download, 16 workers, 16 MB", "sha256", _modelscope, _PARALLEL)
CURL = Program("curl, file by file", "size", _curl(), needs="curl")
CURL_MANY = Program("curl -Z --parallel-max 16", "size", _curl("-Z", "--parallel-max", "16"), needs="curl")
ARIA2C = Program("aria2c -x16 -s16 -j1", "size", _aria2c("-x16", "-s16", "-j1"), needs="aria2c")
ARIA2C_PAIR = Program("aria2c -x8 -s8 -j2", "size", _aria2c("-x8", "-s8", "-j2"), needs="aria2c")
ARIA2C_HUBS = Program("aria2c -x8 -s16 -j1, two hubs", "size", _aria2c("-x8", "-s16", "-j1"), needs="aria2c")
ARIA2C_MANY = Program("aria2c -x16 -s16 -j16", "size", _aria2c("-x16", "-s16", "-j16"), needs="aria2c")
