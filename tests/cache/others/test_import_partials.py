from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.cache.others import places
from qwen3ft_jupyter.cache.others.import_partials import COPY_BYTES, import_partials
from qwen3ft_jupyter.cache.others.places import Place
from qwen3ft_jupyter.disk import LOCAL
from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL
from qwen3ft_jupyter.transfer.engine import fetch
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.transfer.objects import object_key
from qwen3ft_jupyter.transfer.partial import claim
from qwen3ft_jupyter.work import SILENT, Reporter, Work
from tests.cache.making import make_plain
from tests.cache.other_caches import REPO, git_sha1, state_of
from tests.transfer.origin import REPO as HUB_REPO
from tests.transfer.origin import Origin, Recorder, bytes_of, remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from qwen3ft_jupyter.cache.others.places import Owner
    from qwen3ft_jupyter.transfer.pieces import Span

DATA = bytes_of(11_000_007, seed=8)
HALF = DATA[:6_000_001]
FILE = remote("sub/model.safetensors", DATA)
SHA = str(FILE.sha256)
BLOBS = "models--Qwen--Qwen3-0.6B/blobs"
NEW = "models/Qwen--Qwen3-0.6B/snapshots/master"
OLD = "models/._____temp/Qwen/Qwen3-0___6B"


@pytest.fixture(autouse=True)
def forgetful() -> Iterator[None]:
    yield
    places._remembered.clear()


def sow(tmp_path: Path, owner: Owner, files: Mapping[str, bytes], reporter: Reporter = SILENT) -> int:
    """Seed from one place and hold that it stays as it was."""
    make_plain(tmp_path / "theirs", files)
    before = state_of(tmp_path / "theirs")
    place = Place(owner, tmp_path / "theirs")

    count = import_partials(
        [FILE], repo_id=REPO, places=[place], incoming=tmp_path / "incoming", work=Work(reporter=reporter)
    )

    assert state_of(tmp_path / "theirs") == before
    return count


def ranges(tmp_path: Path) -> list[tuple[int, int]]:
    """Return what our partial has, after its bytes were compared; leave it for others."""
    partial = claim(tmp_path / "incoming", object_key(FILE), FILE.size, disk=LOCAL, name="it")
    partial.open()
    found = []
    for record in sorted(partial.records):
        data = partial.read(record.end - record.start, record.start)
        assert zlib.crc32(data) == record.crc
        assert record.source == ANOTHER_TOOL
        found.append((record.start, record.end))
    partial.close(release=True)
    return found


def joined(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, end in found:
        if result and result[-1][1] == start:
            result[-1] = (result[-1][0], end)
        else:
            result.append((start, end))
    return result


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("huggingface", f"{BLOBS}/{SHA}.incomplete"),
        ("huggingface", f"{BLOBS}/{SHA}.0123abcd.incomplete"),
        ("huggingface", f"models--someone--Else/blobs/{SHA}.incomplete"),
        ("modelscope", f"{NEW}/sub/model.safetensors.incomplete"),
        ("modelscope", f"{NEW}/sub/model.safetensors.parallel_tmp"),
        ("modelscope", f"hub/{NEW}/sub/model.safetensors.incomplete"),
        ("modelscope", f"{OLD}/sub/model.safetensors"),
        ("modelscope", f"hub/{OLD}/sub/model.safetensors"),
        ("modelscope", "._____temp/Qwen/Qwen3-0.6B/sub/model.safetensors"),
        ("modelscope", "models/Qwen/Qwen3-0___6B/._____temp/sub/model.safetensors"),
        ("folder", f"Qwen3-0.6B/.cache/huggingface/download/Ab-c_1=.{SHA}.incomplete"),
        ("folder", f"Qwen3-0.6B/.cache/huggingface/download/sub/Ab-c_1=.{SHA}.0123abcd.incomplete"),
        ("folder", "Qwen3-0.6B/sub/model.safetensors.incomplete"),
        ("folder", "Qwen3-0.6B/sub/model.safetensors.part"),
        ("folder", "Qwen3-0.6B/sub/model.safetensors"),
    ],
)
def test_the_beginning_that_a_tool_has_left_is_not_fetched_again(tmp_path: Path, owner: Owner, path: str) -> None:
    make_plain(tmp_path / "theirs" / "Qwen3-0.6B", {"config.json": b"{}"})

    assert sow(tmp_path, owner, {path: HALF}) == len(HALF)

    assert joined(ranges(tmp_path)) == [(0, len(HALF))]
    got, asked = fetched(tmp_path)
    assert got == DATA
    assert asked == [(len(HALF), len(DATA))]


def fetched(tmp_path: Path, reporter: Reporter = SILENT) -> tuple[bytes, list[Span]]:
    """Fetch the file from a hub on loopback; return its bytes, and which of them the hub was asked for."""
    client = HttpClient()
    try:
        with Origin({FILE.path: DATA}) as hub:
            source = HubSource(hub, hub.listing(HUB_REPO), client)
            (got,) = fetch([FILE], sources=[source], folder=tmp_path / "incoming", work=Work(reporter=reporter))
            asked = hub.spans_asked(FILE.path)
        return got.path.read_bytes(), asked
    finally:
        client.close()


def test_parts_of_a_parallel_download_are_put_where_they_belong(tmp_path: Path) -> None:
    base = f"{NEW}/sub/model.safetensors"

    sow(
        tmp_path,
        "modelscope",
        {
            f"{base}_0_3999999": DATA[:4_000_000],
            f"{base}_4000000_7999999": DATA[4_000_000:5_000_000],
            f"{base}_8000000_11000006": DATA[8_000_000:],
        },
    )

    assert joined(ranges(tmp_path)) == [(0, 5_000_000), (8_000_000, len(DATA))]


@pytest.mark.parametrize(
    "name",
    ["model.safetensors_9_3", "model.safetensors_0_99999999999", "model.safetensors_0_1000", "model.safetensors_-1_5"],
)
def test_a_part_that_cannot_be_one_is_left_alone(tmp_path: Path, name: str) -> None:
    assert sow(tmp_path, "modelscope", {f"{NEW}/sub/{name}": HALF}) == 0


@pytest.mark.parametrize(
    ("owner", "files"),
    [
        ("folder", {"Qwen3-0.6B/sub/model.safetensors": HALF, "Qwen3-0.6B/sub/model.safetensors.aria2": b"holes"}),
        ("folder", {"Qwen3-4B/sub/model.safetensors": HALF}),
        ("folder", {"My-Model/sub/model.safetensors": HALF}),
        ("folder", {"Qwen3-0.6B/sub/model.safetensors": DATA + b"more"}),
        ("folder", {"Qwen3-0.6B/sub/model.safetensors": b""}),
        ("folder", {"Qwen3-0.6B/sub/model.safetensors": HALF + HALF[: len(DATA) - len(HALF)]}),
        ("huggingface", {f"{BLOBS}/{'e' * 64}.incomplete": HALF}),
        ("huggingface", {f"{BLOBS}/{git_sha1(DATA)}.incomplete": HALF}),
        ("modelscope", {"models/Qwen--Qwen3-4B/snapshots/master/sub/model.safetensors.incomplete": HALF}),
    ],
)
def test_what_has_holes_or_belongs_to_another_file_is_left_alone(
    tmp_path: Path, owner: Owner, files: Mapping[str, bytes]
) -> None:
    make_plain(tmp_path / "theirs" / next(iter(files)).split("/")[0], {"config.json": b"{}"})

    assert sow(tmp_path, owner, files) == 0
    assert not list(tmp_path.glob("incoming/*.part"))


def test_holes_are_not_taken_for_bytes(tmp_path: Path) -> None:
    """Some tools make the file as long as it will be, and fill it in any order."""
    data = DATA[:COPY_BYTES] + bytes(COPY_BYTES) + DATA[2 * COPY_BYTES :]

    sow(tmp_path, "huggingface", {f"{BLOBS}/{SHA}.incomplete": data})

    assert joined(ranges(tmp_path)) == [(0, COPY_BYTES), (2 * COPY_BYTES, len(DATA))]


def test_a_file_of_holes_gives_nothing(tmp_path: Path) -> None:
    assert sow(tmp_path, "huggingface", {f"{BLOBS}/{SHA}.incomplete": bytes(len(DATA))}) == 0


def test_small_files_are_not_looked_for(tmp_path: Path) -> None:
    small = remote("config.json", b"{}" * 100)
    make_plain(tmp_path / "theirs", {f"{NEW}/config.json.incomplete": b"{}"})

    place = Place("modelscope", tmp_path / "theirs")
    assert import_partials([small], repo_id=REPO, places=[place], incoming=tmp_path / "incoming", work=Work()) == 0


def test_our_own_bytes_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "incoming").mkdir()
    partial = claim(tmp_path / "incoming", object_key(FILE), FILE.size, disk=LOCAL, name="it")
    partial.open()
    partial.write(memoryview(b"ours"), 1_000_000)
    partial.record(1_000_000, 1_000_004, zlib.crc32(b"ours"), ANOTHER_TOOL)
    partial.close(release=True)

    count = sow(tmp_path, "modelscope", {f"{NEW}/sub/model.safetensors.incomplete": HALF})

    assert count == len(HALF) - 4
    assert joined(ranges(tmp_path)) == [(0, len(HALF))]
    again = claim(tmp_path / "incoming", object_key(FILE), FILE.size, disk=LOCAL, name="it")
    again.open()
    assert again.read(4, 1_000_000) == b"ours"
    again.close(release=True)


def test_the_longest_is_taken_first_and_others_fill_its_gaps(tmp_path: Path) -> None:
    count = sow(
        tmp_path,
        "modelscope",
        {
            f"{NEW}/sub/model.safetensors.incomplete": HALF,
            f"{OLD}/sub/model.safetensors": DATA[:8_000_000],
            f"{NEW}/sub/model.safetensors_9000000_11000006": DATA[9_000_000:],
        },
    )

    assert count == 8_000_000 + len(DATA) - 9_000_000
    assert joined(ranges(tmp_path)) == [(0, 8_000_000), (9_000_000, len(DATA))]


@pytest.mark.parametrize("position", [0, 5_999_999])
def test_a_wrong_beginning_never_yields_wrong_bytes(tmp_path: Path, position: int) -> None:
    wrong = HALF[:position] + bytes([HALF[position] ^ 0x10]) + HALF[position + 1 :]
    sow(tmp_path, "huggingface", {f"{BLOBS}/{SHA}.incomplete": wrong})

    got, asked = fetched(tmp_path)

    assert got == DATA
    assert asked == [(0, len(DATA))]


def test_a_stop_is_felt(tmp_path: Path) -> None:
    make_plain(tmp_path / "theirs", {f"{NEW}/sub/model.safetensors.incomplete": HALF})
    stop = threading.Event()
    stop.set()

    with pytest.raises(Stopped):
        import_partials(
            [FILE],
            repo_id=REPO,
            places=[Place("modelscope", tmp_path / "theirs")],
            incoming=tmp_path / "incoming",
            work=Work(stop=stop),
        )

    assert ranges(tmp_path) == []


def test_the_phase_is_named(tmp_path: Path) -> None:
    recorder = Recorder()

    sow(tmp_path, "modelscope", {f"{NEW}/sub/model.safetensors.incomplete": HALF}, recorder)

    assert recorder.phases() == ["adopting"]
    assert recorder.events[-1].done == recorder.events[-1].total == len(HALF)
