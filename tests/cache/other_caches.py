"""Makes the caches of other tools: by the tools themselves, or by hand where no present version makes them any more."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.cache.making import make_plain, safetensors
from tests.transfer.origin import bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.places import Owner
    from qwen3ft_jupyter.hubs.listing import RemoteFile

REPO = parse_repo_id("Qwen/Qwen3-0.6B")
COMMIT = "1234567890" * 4
WEIGHTS = safetensors(bytes_of(9_000_001, seed=3))
FILES = {
    "config.json": b'{"model_type": "qwen3"}',
    "model.safetensors": WEIGHTS,
    "sub/notes.md": b"# notes",
    "tokenizer.json": json.dumps({"a": bytes_of(35_000, seed=4).hex()}).encode(),
}


def remotes(files: Mapping[str, bytes] = FILES, *, by_git: bool = False) -> list[RemoteFile]:
    """Return how a hub lists the files; Hugging Face lists only large ones by sha256."""
    return [remote(path, data, by_git=by_git and len(data) < 1 << 20) for path, data in files.items()]


def run_clients(folder: Path, files: Mapping[str, bytes] = FILES) -> dict[str, str]:
    """Let both hubs' own clients download `REPO` from a mirror; return the environment that leads to their caches."""
    make_plain(folder / "served", files)
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "LANG", "SYSTEMROOT", "TMPDIR"}}
    given = {"HOME": str(home), "HF_HOME": str(folder / "hf"), "MODELSCOPE_CACHE": str(folder / "ms")}
    with Mirror({REPO: folder / "served"}) as mirror:
        for package in ("huggingface_hub", "modelscope"):
            code = f"from {package} import snapshot_download as f; f({REPO!r}); f({REPO!r}, local_dir={package!r})"
            env = {**kept, **given, "HF_ENDPOINT": mirror.url, "MODELSCOPE_ENDPOINT": mirror.url}
            env |= {"HF_HUB_DISABLE_UPDATE_CHECK": "1", "PYTHONDONTWRITEBYTECODE": "1"}
            command = [sys.executable, "-W", "ignore", "-c", code]
            subprocess.run(command, env=env, cwd=folder, check=True, capture_output=True, timeout=400)
    return given


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def blob_of(data: bytes) -> str:
    """Return what Hugging Face's client calls the bytes: small files are none of LFS."""
    return hashlib.sha256(data).hexdigest() if len(data) > 1 << 16 else git_sha1(data)


def make_hugging_face(
    root: Path, files: Mapping[str, bytes] = FILES, *, repo: str = REPO, commit: str = COMMIT, branch: str = "main"
) -> Path:
    """Make a snapshot as Hugging Face's client has since its beginnings; return its folder."""
    folder = root / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    for path, data in files.items():
        make_plain(folder / "blobs", {blob_of(data): data})
        (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / path).symlink_to(os.path.relpath(folder / "blobs" / blob_of(data), (snapshot / path).parent))
    make_plain(folder / "refs", {branch: commit.encode()})
    return snapshot


def make_modelscope(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Make what ModelScope's client makes since 1.38."""
    return make_plain(root / "models" / "Qwen--Qwen3-0.6B" / "snapshots" / "master", files)


def make_older_modelscope(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Make what it made up to 1.37."""
    folder = make_plain(root / "models" / "Qwen" / "Qwen3-0___6B", files)
    (folder / ".msc").write_bytes(pickle.dumps([{"Path": path, "Revision": COMMIT} for path in files]))
    (folder / ".mdl").write_bytes(pickle.dumps({"id": REPO}))
    (folder / ".mv").write_text("Revision:master,CreatedAt:1745000000")
    (folder.parent / "Qwen3-0.6B").symlink_to(folder)
    return folder


def make_oldest_modelscope(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Make what it made before there were datasets."""
    return make_plain(root / "Qwen" / "Qwen3-0___6B", files)


def below_hub(make: Callable[[Path, Mapping[str, bytes]], Path]) -> Callable[[Path, Mapping[str, bytes]], Path]:
    return lambda root, files: make(root / "hub", files)


def make_folder(root: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Make what someone copied somewhere."""
    return make_plain(root / "Qwen" / "Qwen3-0.6B", files)


LAYOUTS: dict[str, tuple[Owner, Callable[[Path, Mapping[str, bytes]], Path]]] = {
    "huggingface": ("huggingface", make_hugging_face),
    "modelscope": ("modelscope", make_modelscope),
    "modelscope-hub": ("modelscope", below_hub(make_modelscope)),
    "modelscope-1.37": ("modelscope", make_older_modelscope),
    "modelscope-1.37-hub": ("modelscope", below_hub(make_older_modelscope)),
    "modelscope-old": ("modelscope", make_oldest_modelscope),
    "modelscope-old-hub": ("modelscope", below_hub(make_oldest_modelscope)),
    "folder": ("folder", make_folder),
}


def place_of(layout: str, root: Path) -> Place:
    return Place(LAYOUTS[layout][0], root)


def settle(root: Path) -> None:
    """Make every folder as old as if nothing had changed for an hour."""
    for parent, _, _ in os.walk(root):
        status = os.stat(parent)  # noqa: PTH116
        os.utime(parent, ns=(status.st_atime_ns, status.st_mtime_ns - 3600 * 10**9))


def state_of(root: Path) -> dict[str, tuple[int, ...]]:
    """Return all that shows whether something below `root` was written, changed or renamed."""
    found: dict[str, tuple[int, ...]] = {}
    for parent, folders, names in os.walk(root):
        for name in (*folders, *names):
            status = os.lstat(os.path.join(parent, name))  # noqa: PTH118
            found[os.path.join(parent, name)] = (  # noqa: PTH118
                status.st_mode,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
                status.st_ino,
                status.st_nlink,
            )
    return found
