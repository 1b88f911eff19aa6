from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.processes import ProcessIdentity
from qwen3ft_jupyter.transfer.journal import (
    Record,
    forget_line,
    header_line,
    owner_line,
    parse_journal,
    record_line,
    released_line,
)

HEADER = header_line("abc", 1000, "abc.1.part")


def test_a_journal_is_read_back() -> None:
    owner = ProcessIdentity("host", "boot", "space", 12, 34.5)
    data = HEADER + owner_line(owner) + record_line(Record(0, 10, 7)) + record_line(Record(20, 30, 8))

    journal = parse_journal(data)

    assert journal is not None
    assert (journal.key, journal.size, journal.data_name) == ("abc", 1000, "abc.1.part")
    assert journal.owner == owner
    assert journal.records == [Record(0, 10, 7), Record(20, 30, 8)]
    assert not journal.is_released


@given(st.integers(0, 200))
def test_a_torn_last_line_costs_that_line_only(cut: int) -> None:
    lines = [record_line(Record(start, start + 10, start)) for start in range(0, 100, 10)]
    data = b"".join(lines)[: len(b"".join(lines)) - min(cut, len(b"".join(lines)))]

    journal = parse_journal(HEADER + data)

    assert journal is not None
    whole = data.count(b"\n")
    assert [record.start for record in journal.records][:whole] == list(range(0, 10 * whole, 10))
    assert len(journal.records) <= whole + 1


def test_what_is_written_after_a_torn_line_counts() -> None:
    journal = parse_journal(HEADER + b"[0,1" + b"\n" + record_line(Record(5, 6, 1)))

    assert journal is not None
    assert journal.records == [Record(5, 6, 1)]


def test_forgetting_and_releasing_are_undone_by_what_comes_later() -> None:
    data = (
        HEADER + record_line(Record(0, 10, 7)) + record_line(Record(10, 20, 8)) + forget_line(0, 10) + released_line()
    )

    released = parse_journal(data)
    taken_over = parse_journal(data + owner_line(ProcessIdentity("host", "boot", "space", 12, 34.5)))

    assert released is not None
    assert released.records == [Record(10, 20, 8)]
    assert released.is_released
    assert taken_over is not None
    assert not taken_over.is_released


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b'{"v": 2, "key": "abc", "size": 1, "data": "abc.part"}\n',
        b'{"v": 1, "key": "abc", "size": -1, "data": "abc.part"}\n',
        b'{"v": 1, "key": "abc", "size": true, "data": "abc.part"}\n',
        b'{"v": 1, "key": "abc", "size": 1, "data": "../../etc/passwd"}\n',
        b'{"v": 1, "key": "abc", "size": 1, "data": "/tmp/x.part"}\n',
        b"[" * 5000,
    ],
)
def test_what_has_no_header_of_ours_is_no_journal(header: bytes) -> None:
    assert parse_journal(header) is None


@given(st.binary(max_size=400))
def test_garbage_never_raises_and_never_claims_bytes_beyond_the_file(garbage: bytes) -> None:
    journal = parse_journal(HEADER + garbage)

    assert journal is not None
    assert all(0 <= record.start < record.end <= 1000 for record in journal.records)
