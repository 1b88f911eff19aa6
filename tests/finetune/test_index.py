"""Data stays in its files: of a row only its place is in memory, and the row is what was read at first."""

from __future__ import annotations

import json
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadData, Stopped
from qwen3ft_jupyter.finetune import data as data_module
from qwen3ft_jupyter.finetune import encoding, files, jsonfile, places, spool
from qwen3ft_jupyter.finetune.data import Reading, read_named, split
from qwen3ft_jupyter.finetune.formats import Mapper
from qwen3ft_jupyter.finetune.index import Conversations, FileIndex
from qwen3ft_jupyter.finetune.samples import IGNORED, Example, Pair, Sample
from qwen3ft_jupyter.finetune.spool import Samples
from qwen3ft_jupyter.work import Progress, Reporter, Work

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [
    {"question": f"Q{number} 你好\u2028\r\n", "answer": f"A{number}, “quoted” 😀\nsecond line" + "长" * number}
    for number in range(60)
]


def as_jsonl(rows: list[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\r\n\n" for row in rows)


def as_csv(rows: list[dict[str, str]]) -> str:
    cells = [[row[name].replace('"', '""') for name in ("question", "answer")] for row in rows]
    return "question,answer\r\n" + "".join(f'"{one}","{other}"\r\n' for one, other in cells)


def as_list(rows: list[dict[str, str]]) -> str:
    return " " + json.dumps(rows, ensure_ascii=False, indent=1)


def as_object(rows: list[dict[str, str]]) -> str:
    return json.dumps({"data": rows})


WRITERS = {"a.jsonl": as_jsonl, "a.csv": as_csv, "a.json": as_list, "b.json": as_object}


def turns(conversations: Conversations) -> list[tuple[str, ...]]:
    return [tuple(turn.content for turn in one.messages) for one in conversations]


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("name", WRITERS)
def test_rows_are_found_again_at_their_places(
    tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "BLOCK", 100)  # a list is read in many parts
    (tmp_path / name).write_bytes(WRITERS[name](ROWS).encode(code))
    seen: list[Any] = []

    found = read_named([str(tmp_path / name)], Reading(), see=seen.append).conversations

    assert turns(found) == [(row["question"], row["answer"]) for row in ROWS]
    assert list(found) == seen
    assert [found[index] for index in (59, 0, 31, -2)] == [seen[index] for index in (59, 0, 31, -2)]
    assert list(found.pick([7, 3, 3])) == [seen[7], seen[3], seen[3]]


def test_rows_of_parquet_are_found_again_in_any_order(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"question": str(number), "answer": "a", "system": None if number % 2 else "s"} for number in range(3000)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=1300)
    seen: list[Any] = []

    found = read_named([str(tmp_path / "a.parquet")], Reading(), see=seen.append).conversations

    assert list(found) == seen
    assert list(found.pick([2999, 5, 1024, 1023])) == [seen[2999], seen[5], seen[1024], seen[1023]]


def test_files_are_read_in_turn_and_drawn_rows_alone(tmp_path: Path) -> None:
    for name, rows in (("a.jsonl", ROWS[:20]), ("b.csv", ROWS[20:])):
        (tmp_path / name).write_text({"a.jsonl": as_jsonl, "b.csv": as_csv}[name](rows), encoding="utf-8", newline="")

    found = read_named([str(tmp_path / "a.jsonl#5"), str(tmp_path / "b.csv")], Reading()).conversations
    again = read_named([str(tmp_path / "b.csv"), str(tmp_path / "a.jsonl#5")], Reading()).conversations

    assert len(found) == 45
    assert list(found) == [*again[40:], *again[:40]]
    assert found[5].where == "b.csv row 1 line 2"
    assert found[6].where == "b.csv row 2 line 5"


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_changes_between_two_looks_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(WRITERS[name](ROWS), encoding="utf-8")
    found = read_named([str(path)], Reading()).conversations

    path.write_text(WRITERS[name](ROWS[1:]), encoding="utf-8")
    with pytest.raises(BadData, match=rf"{name} changes while it is read\. Try again\."):
        list(found)

    path.unlink()
    with pytest.raises(BadData, match=f"{name} does not exist"):
        list(found)


def test_bytes_that_are_no_row_any_more_are_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(as_jsonl(ROWS), encoding="utf-8")
    stamp = path.stat()
    found = read_named([str(path)], Reading()).conversations

    path.write_bytes(b"x" * stamp.st_size)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    with pytest.raises(BadData, match=r"a\.jsonl changes while it is read"):
        list(found)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("[{}", 1, "Expecting"),
        ("[\n{},\n{]\n", 3, "Expecting"),
        ("[\n{}\n{}]", 3, "Expecting"),
        ("[\n{}]\n\n{}", 4, "Extra data"),
        ("[\n{},\n]", 3, "a comma before the end of a list"),
        ("[{}," + "\n" * 300 + "{} x]", 301, "Expecting"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)
def test_a_list_that_breaks_off_is_named_with_its_line(
    tmp_path: Path, text: str, line: int | None, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonfile, "BLOCK", 16)
    (tmp_path / "a.json").write_text(text)

    with pytest.raises(BadData, match=r"a\.json is not JSON") as caught:
        read_named([str(tmp_path / "a.json")], Reading())

    assert problem in caught.value.message
    assert line is None or f"(line {line})" in caught.value.message


def test_what_cannot_be_read_in_parts_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonfile, "MOST_AT_ONCE", 1000)
    monkeypatch.setattr(places, "LONGEST_LINE", 500)
    (tmp_path / "a.json").write_text(as_object(ROWS))
    (tmp_path / "b.jsonl").write_text(json.dumps(ROWS))

    with pytest.raises(BadData) as caught:
        read_named([str(tmp_path / name) for name in ("a.json", "b.jsonl")], Reading())

    assert "a.json is one JSON object of" in caught.value.message
    assert "b.jsonl line 1 has more than 500 characters." in caught.value.message
    assert "Write its rows as .jsonl, one object a line" in caught.value.hint
    assert "One list of all rows is called .json." in caught.value.hint


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (encoding, files, jsonfile):
        monkeypatch.setattr(module, "BLOCK", 1 << 17)
    rows = [{"question": str(number), "answer": "word " * 4000} for number in range(800)]
    (tmp_path / name).write_text(WRITERS[name](rows), encoding="utf-8", newline="")  # 16 MB

    tracemalloc.start()
    try:
        found = read_named([str(tmp_path / name)], Reading()).conversations
        count = sum(1 for _ in found)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 800
    assert peak < 6_000_000


def test_reading_tells_how_far_it_is_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "TOLD_ROWS", 20)
    (tmp_path / "a.jsonl").write_text(as_jsonl(ROWS), encoding="utf-8")
    told: list[Progress] = []

    class Ear(Reporter):
        def progress(self, progress: Progress) -> None:
            told.append(progress)

    work = Work(Ear())
    read_named([str(tmp_path / "a.jsonl")], Reading(), work)
    work.stop.set()

    assert told == [Progress("preparing", rows, None, "rows") for rows in (20, 40, 60)]
    with pytest.raises(Stopped):
        read_named([str(tmp_path / "a.jsonl")], Reading(), work)


def test_a_weight_says_how_often_a_row_is_seen(tmp_path: Path) -> None:
    files = [FileIndex(None, Mapper(), "messages", is_detected=True, weight=weight) for weight in (2, 0.5, 1)]  # type: ignore[arg-type]
    for file, rows in zip(files, (4, 10, 3), strict=True):
        file.offsets.extend(range(rows))

    training, held_out = split(Conversations(files), 0.2, seed=3)

    kept = set(training._chosen)
    by_file = [[one for one in training._chosen if low <= one < high] for low, high in ((0, 4), (4, 14), (14, 17))]
    out = [sum(low <= one < high for one in held_out._chosen) for low, high in ((0, 4), (4, 14), (14, 17))]
    assert not kept & set(held_out._chosen)
    assert sum(out) == 3
    assert len(by_file[0]) == 2 * (4 - out[0])
    assert len(by_file[1]) == round((10 - out[1]) / 2)
    assert len(by_file[2]) == 3 - out[2]
    assert list(Conversations(files).weighted(3)._chosen) == list(Conversations(files).weighted(3)._chosen)


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_samples_come_back_as_they_were(tmp_path: Path, in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "IN_MEMORY", in_memory or 1)
    given: list[Example] = [
        Sample.of([5, 6, 7, 8], [IGNORED, 6, IGNORED, 8]),
        Sample.of([9], [IGNORED]),
        Sample.of([1, 2], [1, 2]),
        Pair(Sample.of([3, 4, 5], [IGNORED, 4, 5]), Sample.of([3, 6], [IGNORED, 6])),
    ]

    samples = Samples(tmp_path)
    samples.extend(given[:2])
    assert samples[1] == given[1]
    samples.extend(given[2:])

    assert list(samples) == given
    assert samples[-1] == given[-1]
    assert samples[1:3] == given[1:3]
    assert list(samples.lengths) == [4, 1, 2, 5]
    assert samples.widest == 6
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(IndexError):
        samples[4]
