from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.jobs.folder import read_events, read_log
from qwen3ft_jupyter.jobs.supervisor import EventLog, parse_event

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "损失 0.5 ✓\nnaïve 🙂 end\n"


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["n"] for event in events]


@pytest.mark.parametrize("limit", [1, 4, 5, 7, 1000])
def test_log_read_in_pieces_is_the_log(tmp_path: Path, limit: int) -> None:
    (tmp_path / "log.txt").write_text(TEXT, encoding="utf-8")
    pieces, offset = [], 0
    while (chunk := read_log(tmp_path, offset, limit)).text:
        pieces.append(chunk.text)
        offset = chunk.next_offset
    assert "".join(pieces) == TEXT
    assert offset == len(TEXT.encode())


@pytest.mark.parametrize("cut", range(1, 12))
def test_character_written_in_part_is_left_for_the_next_read(tmp_path: Path, cut: int) -> None:
    data = "模🙂é".encode()
    (tmp_path / "log.txt").write_bytes(data[:cut])
    first = read_log(tmp_path, 0, 100)
    (tmp_path / "log.txt").write_bytes(data)
    assert first.text + read_log(tmp_path, first.next_offset, 100).text == "模🙂é"
    assert "\ufffd" not in first.text


def test_bytes_that_are_no_text_do_not_stop_the_reader(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(b"a\xff\xfe b")
    assert read_log(tmp_path, 0, 100).text.endswith(" b")
    assert read_log(tmp_path, 0, 100).next_offset == 5


@pytest.mark.parametrize("offset", [7, 2**53, 2**62])
def test_beyond_the_end_of_a_log_there_is_nothing_yet(tmp_path: Path, offset: int) -> None:
    (tmp_path / "log.txt").write_bytes(b"short")

    chunk = read_log(tmp_path, offset, 100)

    assert (chunk.text, chunk.next_offset) == ("", offset)


@pytest.mark.parametrize("back", range(1, 40))
def test_negative_offset_reads_whole_characters_from_the_end(tmp_path: Path, back: int) -> None:
    (tmp_path / "log.txt").write_text(TEXT, encoding="utf-8")
    chunk = read_log(tmp_path, -back, 1000)
    assert TEXT.endswith(chunk.text)
    assert len(chunk.text.encode()) > back - 4 or chunk.text == TEXT
    assert chunk.next_offset == len(TEXT.encode())


def test_missing_log_is_empty(tmp_path: Path) -> None:
    chunk = read_log(tmp_path, 0, 100)
    assert (chunk.text, chunk.next_offset) == ("", 0)


@pytest.mark.parametrize("after", [0, 1, 2, 999, 2998, 2999, 3000, 5000])
def test_events_after_a_number_are_exactly_those(tmp_path: Path, after: int) -> None:
    log = EventLog(tmp_path / "events.jsonl")
    for number in range(3000):
        log.append("metrics", values={"step": number, "filling": "模" * (number % 97)})
    log.close()
    assert numbers(read_events(tmp_path, after)) == list(range(after + 1, 3001))


def test_torn_and_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    lines = [b'{"n": 1}', b'{"n": 2, "ty', b"[3]", b"\xff\xff", b"", b'{"n": "4"}', b'{"n": 2}', b'{"n": 3']
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(lines))
    assert numbers(read_events(tmp_path, 0)) == [1, 2]


def test_torn_line_in_a_long_file_hides_no_event(tmp_path: Path) -> None:
    good = [b'{"n": %d, "x": "%s"}' % (number, b"y" * 50) for number in range(1, 2001)]
    torn = [line for n, line in enumerate(good) for line in ([line[:9], line] if n % 3 == 0 else [line])]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(torn) + b"\n")
    for after in (0, 500, 1500, 1999):
        assert numbers(read_events(tmp_path, after)) == list(range(after + 1, 2001))


def test_event_being_written_is_not_read_yet(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b'{"n": 1}\n{"n": 2}')
    assert parse_event(b'{"n": 2}') is not None
    assert numbers(read_events(tmp_path, 0)) == [1]
