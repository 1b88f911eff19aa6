from __future__ import annotations

import pytest

from qwen3ft_jupyter.mirror.ranges import Part, precondition, wanted_part

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", Part(206, 0, 10)),
        ("bytes=90-", Part(206, 90, 10)),
        ("bytes=90-5000", Part(206, 90, 10)),
        ("bytes=-10", Part(206, 90, 10)),
        ("bytes=-1000", Part(206, 0, 100)),
        ("bytes = 5-5", Part(200, 0, 100)),
        ("Bytes=5-5", Part(206, 5, 1)),
        ("bytes=100-", Part(416, 0, 0)),
        ("bytes=-0", Part(416, 0, 0)),
        ("bytes=9-5", Part(200, 0, 100)),
        ("bytes=0-4,10-14", Part(200, 0, 100)),
        ("bytes=-", Part(200, 0, 100)),
        ("bytes=0--1", Part(200, 0, 100)),
        ("bytes=\u0661-\u0662", Part(200, 0, 100)),
        ("bytes=99999999999999999999-", Part(200, 0, 100)),
        ("lines=0-5", Part(200, 0, 100)),
        ("", Part(200, 0, 100)),
    ],
)
def test_a_range_is_what_the_standard_says(asked: str, part: Part) -> None:
    assert wanted_part({"range": asked}, size=100, etag=ETAG) == part


def test_nothing_of_an_empty_file_can_be_asked_for() -> None:
    assert wanted_part({"range": "bytes=0-"}, size=0, etag=ETAG).status == 416
    assert wanted_part({}, size=0, etag=ETAG) == Part(200, 0, 0)


@pytest.mark.parametrize(
    ("condition", "status"), [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("Mon, 01 Jan 2024 00:00:00 GMT", 200)]
)
def test_a_range_of_another_version_is_not_mixed_in(condition: str, status: int) -> None:
    assert wanted_part({"range": "bytes=5-", "if-range": condition}, size=100, etag=ETAG).status == status


@pytest.mark.parametrize(
    ("condition", "known"), [(ETAG, True), (f'"x", W/{ETAG}', True), ("*", True), ('"x"', False), ("", False)]
)
def test_what_the_client_has_is_not_sent_again(condition: str, *, known: bool) -> None:
    assert (precondition({"if-none-match": condition}, ETAG) == 304) is known
