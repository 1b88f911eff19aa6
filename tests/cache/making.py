"""Makes cached models on disk without a download."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.own.manifest import (
    Manifest,
    ManifestFile,
    Stamp,
    manifest_path,
    read_manifest,
    write_manifest,
)
from qwen3ft_jupyter.hubs.names import SafePath, Sha256, parse_repo_id, slug

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def safetensors(data: bytes, tensor: bytes = b"w") -> bytes:
    """Return a file of weights that holds `data` as the only tensor."""
    header = b'{"%s":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (tensor, len(data), len(data))
    return len(header).to_bytes(8, "little") + header + data


FILES = {"config.json": b"{}", "model.safetensors": safetensors(b"weights" * 1000), "tokenizer.json": b"{}"}
"""A model that could be loaded, as far as a look tells."""


def make_plain(folder: Path, files: Mapping[str, bytes] = FILES) -> Path:
    """Make a folder that has no manifest."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def make_cached(
    root: Path, repo_id: str, files: Mapping[str, bytes] = FILES, *, name: str | None = None, pinned: bool = False
) -> Path:
    """Make a folder as a download leaves it."""
    folder = make_plain(root / (name or slug(repo_id)), files)
    entries = []
    for path, data in files.items():
        (folder / path).chmod(0o444)
        stamp = Stamp.of((folder / path).lstat())
        entries.append(ManifestFile(SafePath(path), len(data), Sha256(hashlib.sha256(data).hexdigest()), stamp))
    now = time.time()
    manifest = Manifest(
        parse_repo_id(repo_id), "modelscope", "master", "c" * 40, now, now - 9999, tuple(entries), pinned=pinned
    )
    manifest_path(folder).parent.mkdir()
    manifest_path(folder).write_text(json.dumps(manifest.to_dict()), "utf-8")  # without the fsyncs of the real one
    return folder


def share_file(source: Path, target: Path, path: str) -> None:
    """Make a file of one cached model the same file as another's, as two revisions share what did not change."""
    (target / path).unlink()
    (target / path).hardlink_to(source / path)
    for folder in (source, target):
        manifest = read_manifest(folder)
        assert manifest is not None
        write_manifest(folder, manifest.with_stamps({path: Stamp.of((folder / path).lstat())}))
