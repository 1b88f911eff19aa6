"""Whether a host can take part in a fine-tune: the same versions and data, and a folder that both share."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import write_atomic
from qwen3ft_jupyter.errors import BadConfig, BadData, JobFailed
from qwen3ft_jupyter.finetune.sources import find_sources
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.paths import names_in, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SEEN_S = 15.0
"""A file that one host writes may take so long to be seen by another: mounts keep lists of names for a while."""
PROBE_FILES = "probe-*"
"""What is written for it; a host that dies meanwhile leaves some."""
_LOOK_S = 0.25
_COMPUTE = ("qwen3ft-jupyter", "torch", "transformers", "peft")
"""Packages of which all hosts have to have the same version: they compute one step together."""
_OF_MODELS = {".safetensors", ".bin", ".json", ".txt", ".model", ".jinja"}
"""How files end that decide what a model computes."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What a host tells of itself."""

    name: str
    versions: Mapping[str, str]

    @classmethod
    def here(cls) -> HostFacts:
        """Return those of this host."""
        return cls(socket.gethostname(), {"python": platform.python_version(), **dict(map(_version, _COMPUTE))})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HostFacts:
        """Rebuild from `to_dict`. Raises KeyError, TypeError."""
        return cls(str(data["name"])[:80], {str(name): str(value) for name, value in dict(data["versions"]).items()})


def _version(package: str) -> tuple[str, str]:
    try:
        return package, metadata.version(package)
    except metadata.PackageNotFoundError:
        return package, ""


def other_versions(first: HostFacts, host: HostFacts) -> list[Message]:
    """Return in what a host differs so that it cannot take part. Other GPUs are no matter.

    >>> here = HostFacts("a", {"python": "3.11.7", "torch": "2.9.0"})
    >>> list(map(str, other_versions(here, HostFacts("b", {"python": "3.11.9", "torch": "2.8.0"}))))
    ['torch 2.8.0 there, 2.9.0 here']
    """
    return [
        Message("{name} {there} there, {here} here", name=name, there=there or "—", here=here or "—")
        for name, here in first.versions.items()
        if _told(name, there := host.versions.get(name, "")) != _told(name, here)
    ]


def _told(name: str, version: str) -> str:
    return version.rpartition(".")[0] if name == "python" else version


@dataclass(frozen=True, slots=True)
class Probe:
    """What the first host asks of another, and how it judges the answer."""

    folder: Path
    """Which both are to see."""
    nonce: str
    """In the names of two files."""
    word: str
    """Stands in the first's file."""

    @classmethod
    def begin(cls, folder: Path) -> Probe:
        """Write a file that the other host has to see. Raises OSError."""
        probe = cls(folder, secrets.token_hex(8), secrets.token_hex(16))
        write_atomic(probe._first, probe.word.encode())
        return probe

    @property
    def _first(self) -> Path:
        return self.folder / f"probe-{self.nonce}-first"

    @property
    def _other(self) -> Path:
        return self.folder / f"probe-{self.nonce}-other"

    def to_dict(self) -> dict[str, str]:
        """Return what the other host is asked."""
        return {"folder": str(self.folder), "nonce": self.nonce}

    @classmethod
    def answer(cls, asked: Mapping[str, Any]) -> dict[str, str]:
        """Return, on the other host, what it sees, having written what the first is to see."""
        probe = cls(Path(str(asked["folder"])), str(asked["nonce"]), "")
        word = _read(probe._first)
        if word is None:
            return {"word": "", "reason": ""}
        try:
            write_atomic(probe._other, word[::-1].encode())
        except OSError as error:
            return {"word": word, "reason": reason_of(error)}
        return {"word": word, "reason": ""}

    def judge(self, answer: Mapping[str, Any]) -> Message | None:
        """Return what is wrong; None if each sees what the other wrote. The files are deleted."""
        try:
            if answer.get("word") != self.word:
                return Message("it does not see output_dir: what the first host writes there does not appear on it")
            if reason := str(answer.get("reason") or ""):
                return Message("it cannot write to output_dir: {reason}", reason=reason)
            if _read(self._other) != self.word[::-1]:
                return Message("output_dir is another folder there: what it writes does not appear on the first host")
            return None
        finally:
            for path in (self._first, self._other):
                path.unlink(missing_ok=True)


def _read(path: Path) -> str | None:
    """Return what is in a small file once it is there; None if it does not come."""
    until = time.monotonic() + SEEN_S
    while True:
        try:
            return path.read_text("ascii")
        except (OSError, ValueError):
            if time.monotonic() > until:
                return None
        time.sleep(_LOOK_S)


def data_digests(data: Sequence[str]) -> dict[str, str]:
    """Return the digest of each file of data, by its path; "" for what is not there."""
    digests: dict[str, str] = {}
    for name in data:
        try:
            sources, missing = find_sources([name], [])
        except BadData:
            sources, missing = [], []
        if missing or not sources:
            digests[name] = ""
        for source in sources:
            digests[str(source.path)] = _digest(source.path)
    return digests


def _digest(path: Path, on_bytes: Callable[[int], None] = lambda _count: None) -> str:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
                on_bytes(len(block))
    except OSError:
        return ""
    return digest.hexdigest()


def model_digests(folder: Path, on_bytes: Callable[[int, int], None]) -> dict[str, str]:
    """Return the digest of each file that makes a model what it is, by its name.

    Weights, configs, tokenizer and chat template lie side by side; nothing else in the folder is read.

    Args:
        folder: Where the model lies.
        on_bytes: Is told how many bytes of how many have been read; what it raises ends the reading.
    """
    names = [name for name in names_in(folder) if Path(name).suffix in _OF_MODELS]
    files = [folder / name for name in names if os.path.isfile(folder / name)]  # noqa: PTH113
    total = sum(os.path.getsize(path) for path in files)  # noqa: PTH202
    done = 0

    def read(count: int) -> None:
        nonlocal done
        done += count
        on_bytes(done, total)

    return {path.name: _digest(path, read) for path in files}


def other_model(first: Mapping[str, str], host: Mapping[str, str]) -> list[str]:
    """Return the names of the files in which a host's model is not that of the first.

    >>> other_model({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"})
    ['b', 'c', 'd']
    """
    return sorted(name for name in {*first, *host} if first.get(name) != host.get(name))


def other_data(first: Mapping[str, str], host: Mapping[str, str]) -> list[Message]:
    """Return which files of data a host lacks or has otherwise.

    >>> list(map(str, other_data({"/a/x.jsonl": "1", "/a/y.jsonl": "2"}, {"/a/x.jsonl": "3"})))
    ['data: x.jsonl is another file there', 'data: y.jsonl is not there']
    """
    return [
        Message("data: {name} is another file there", name=Path(path).name)
        if host.get(path)
        else Message("data: {name} is not there", name=Path(path).name)
        for path, digest in first.items()
        if host.get(path) != digest
    ]


def refusal(name: str, problems: Sequence[Message]) -> JobFailed:
    """Return why a host cannot take part, and what to do."""
    return JobFailed(
        "The host {host} cannot take part: {problems}.",
        hint="All hosts need output_dir and data on one mount, at the same path, and the same versions. Correct "
        "that, and join again.",
        host=name,
        problems=Texts(list(problems), "; "),
    )


def needs_folder(given: Mapping[str, object]) -> None:
    """Make sure that hosts that are started by themselves name one folder. Raises BadConfig."""
    if not given.get("output_dir"):
        raise BadConfig(
            "output_dir: hosts find each other in it, so it has to be given.",
            hint="Name a folder on the mount that all hosts share.",
        )
