"""Whatever is on the disk: what the plan says of each file is what is done with it, to the byte."""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.cache.own.layout import incoming_folder
from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import NoSpace
from qwen3ft_jupyter.transfer.objects import RESERVE_BYTES, object_key
from qwen3ft_jupyter.transfer.partial import claim
from tests.cache.making import make_cached
from tests.download.asking import ensure_model, plan_model
from tests.download.test_ensure import FILES as MODEL
from tests.download.test_ensure import NAME, contents, make_plain
from tests.transfer.origin import REPO, Origin, Recorder, bytes_of, remote

if TYPE_CHECKING:
    from qwen3ft_jupyter.download.apply import Ensured
    from qwen3ft_jupyter.download.plan import DownloadPlan

KB = 1000
MB = 1 << 20
FILES = {"config.json": b"{}", **{f"{name}.safetensors": bytes_of(50 * KB, n) for n, name in enumerate("abc")}}
STATES = ["absent", "right", "wrong", "lent", "elsewhere", "begun", "begun and elsewhere", "whole partial"]


def lay_out(root: Path, states: dict[str, str]) -> ModelCache:
    cache = ModelCache(root / "cache", places=[Place("folder", root / "models")])
    lent = {path: FILES[path] for path, state in states.items() if state == "lent"}
    if lent:
        make_cached(cache.root, "someone/Else", lent)
    make_plain(
        cache.root / NAME,
        {
            path: FILES[path] if state == "right" else b"?" * len(FILES[path])
            for path, state in states.items()
            if state in {"right", "wrong"}
        },
    )
    theirs = {path: FILES[path] for path, state in states.items() if "elsewhere" in state}
    make_plain(root / "models" / "Qwen" / "Qwen3-Test", theirs)
    for path, state in states.items():
        if "begun" in state or state == "whole partial":
            begin(cache, path, len(FILES[path]) if state == "whole partial" else len(FILES[path]) // 2)
    return cache


def begin(cache: ModelCache, path: str, count: int) -> None:
    incoming = incoming_folder(cache.root, NAME)
    incoming.mkdir(parents=True, exist_ok=True)
    file = remote(path, FILES[path])
    partial = claim(incoming, object_key(file), file.size, disk=LOCAL, name=path)
    partial.open()
    partial.write(memoryview(FILES[path][:count]), 0)
    partial.record(0, count, zlib.crc32(FILES[path][:count]), "ModelScope")
    partial.close(release=True)


def plan(cache: ModelCache, origin: Origin, **wanted: object) -> DownloadPlan:
    return plan_model(cache, {"modelscope": origin}, REPO, order=["modelscope"], max_connections=2, **wanted)


def ensure(cache: ModelCache, origin: Origin, **wanted: object) -> Ensured:
    return ensure_model(
        cache, {"modelscope": origin}, REPO, order=["modelscope"], max_connections=2, reporter=Recorder(), **wanted
    )


def inodes(folder: Path) -> dict[str, int]:
    return {path: (folder / path).stat().st_ino for path in FILES if (folder / path).exists()}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({path: st.sampled_from(STATES) for path in FILES}))
def test_each_file_gets_the_action_that_was_planned(states: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as root, Origin(FILES) as origin:
        cache = lay_out(Path(root), states)
        before = inodes(cache.root / NAME)

        planned = plan(cache, origin)
        asked = {path: len(origin.ranges(path)) for path in FILES}
        ensured = ensure(cache, origin)

        after = inodes(ensured.model.folder)
        assert contents(ensured.model.folder) == FILES
        assert {file.path for file in planned.files} == set(FILES)
        for file in planned.files:
            assert origin.bytes_asked(file.path, since=asked[file.path]) == file.bytes_to_fetch
            assert (file.action == "kept") == (before.get(file.path) == after[file.path])
        adopted: dict[str, int] = {}
        for file in planned.files:
            if file.action == "adopted":
                adopted[file.source] = adopted.get(file.source, 0) + file.size
        assert adopted == dict(ensured.adopted)
        assert planned.bytes_to_fetch == ensured.bytes_fetched


def test_what_an_earlier_attempt_has_whole_is_not_cloned_again(tmp_path: Path) -> None:
    states = dict.fromkeys(FILES, "elsewhere")
    cache = lay_out(tmp_path, states)
    begin(cache, "a.safetensors", len(FILES["a.safetensors"]))
    (part,) = incoming_folder(cache.root, NAME).glob("*.part")
    before = part.stat().st_ino

    with Origin(FILES) as origin:
        (file,) = (file for file in plan(cache, origin).files if file.path == "a.safetensors")
        ensured = ensure(cache, origin)

    assert (file.action, file.bytes_to_fetch) == ("resumed", 0)
    assert (ensured.model.folder / "a.safetensors").stat().st_ino == before


def test_a_full_disk_is_refused_before_the_first_byte_naming_what_could_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies of what is elsewhere on this disk need room, too."""
    cache = ModelCache(tmp_path / "cache", places=[Place("folder", tmp_path / "models")])
    make_plain(tmp_path / "models" / "Qwen" / "Qwen3-Test", {"model.safetensors": MODEL["model.safetensors"]})
    make_cached(cache.root, "someone/Old", {"model.safetensors": bytes_of(4 * MB, 5)})
    monkeypatch.setattr("qwen3ft_jupyter.transfer.volume.LocalDisk.free_bytes", lambda *_: RESERVE_BYTES + MB)

    with Origin(MODEL) as origin:
        planned = plan(cache, origin)
        seen = len(origin.server.seen)
        with pytest.raises(NoSpace, match=r"are missing") as caught:
            ensure(cache, origin)

        assert len(origin.server.seen) == seen
    assert planned.missing_bytes == sum(map(len, MODEL.values())) - MB
    assert f"{planned.missing_bytes:,} bytes" in caught.value.message
    assert "Evict someone/Old (4.2 MB)" in caught.value.hint
    assert cache.find("someone/Old") is not None
    assert not incoming_folder(cache.root, NAME).exists() or not list(incoming_folder(cache.root, NAME).glob("*.part"))


def test_what_makes_room_lends_nothing(tmp_path: Path) -> None:
    """Whoever counts on a model that is about to be evicted would plan too little."""
    cache = ModelCache(tmp_path / "cache")
    make_cached(cache.root, "someone/Else", {"model.safetensors": MODEL["model.safetensors"], "x": b"x" * 2 * MB})

    with Origin({**MODEL, "more.safetensors": bytes_of(2 * MB, 9)}) as origin:
        planned = plan(cache, origin, quota=6 * MB)
        ensured = ensure(cache, origin, quota=6 * MB)

    assert planned.to_evict == tuple(ensured.evicted) == ("someone/Else",)
    assert planned.bytes_to_fetch == ensured.bytes_fetched == sum(map(len, MODEL.values())) + 2 * MB
