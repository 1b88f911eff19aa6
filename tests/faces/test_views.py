"""What every face takes and tells about models on this disk."""

from __future__ import annotations

import doctest
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.reports import RepairReport
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.errors import BadInput, BadSetting
from qwen3ft_jupyter.faces import actions, job_views, losses, parsing, verbs, views
from qwen3ft_jupyter.faces import format as fmt
from qwen3ft_jupyter.faces.format import progress_parts
from qwen3ft_jupyter.faces.job_views import fetch_facts, jobs_table, share_words
from qwen3ft_jupyter.faces.views import MOST_PATHS, check_owner, plan_table, read_speed, room_words, split_sources
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.manager.overview import CacheSummary
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.work import Progress
from tests.server.standin import HALFWAY, StandInJob, plan_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "en")


def planned(path: str, action: str, size: int = 10, source: str = "") -> dict[str, Any]:
    return {
        "path": path,
        "size": size,
        "action": action,
        "source": source,
        "bytes_to_fetch": size if source == "ModelScope" else 0,
    }


@pytest.mark.parametrize("module", [actions, fmt, job_views, losses, parsing, verbs, views])
def test_the_examples_are_true(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert done.attempted > 0
    assert done.failed == 0


def test_the_end_of_a_phase_is_not_taken_for_that_of_a_job() -> None:
    def shown(progress: Progress) -> str:
        job = StandInJob("a", script=[replace(HALFWAY, progress=progress)]).snapshot()
        table = jobs_table([job], "cli")
        return str(dict(zip(table.columns, table.rows[0], strict=True))[""])

    assert shown(Progress("transferring", 30, 40)) == "75%"
    assert shown(Progress("loading", 1, 1, "steps")) == ""


# What people give


@pytest.mark.parametrize(
    ("text", "speed"),
    [("20MB", 20_000_000), ("1.5 MB/s", 1_500_000), ("2MiB", 2_097_152), ("5000", 5000), ("0", 0), ("none", 0)],
)
def test_speed_is_read_as_people_write_it(text: str, speed: int) -> None:
    assert read_speed(text) == speed


@pytest.mark.parametrize("text", ["fast", "-5", "20 apples", "1e9", "20MB 30MB", "９MB"])
def test_speed_that_is_none_is_named(text: str) -> None:
    with pytest.raises(BadInput, match="max_speed") as caught:
        read_speed(text)
    assert not isinstance(caught.value, BadSetting)  # a server answers that with its own fault
    assert "20MB" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["modelscope,mirrors", " modelscope , mirrors ", "modelscope mirrors", "modelscope,,mirrors,"]
)
def test_sources_are_split(text: str) -> None:
    assert split_sources(text) == ["modelscope", "mirrors"]


def test_owner_that_has_no_copies_is_refused() -> None:
    assert [check_owner(owner) for owner in (None, "huggingface", "folder")] == [None, "huggingface", "folder"]
    for owner in ("qwen3ft", "shared", "", "hf"):
        with pytest.raises(BadInput, match="owner"):
            check_owner(owner)


# Shares and room


@pytest.mark.parametrize(
    ("bytes_by_name", "words"),
    [
        ({}, ""),
        ({"ModelScope": 0}, ""),
        ({"ModelScope": 5}, "100 % ModelScope"),
        ({"ModelScope": 5, "Hugging Face": 0}, "100 % ModelScope"),
        ({"Hugging Face": 1, "mirror 10.0.0.5:8900": 2}, "67 % mirror 10.0.0.5:8900, 33 % Hugging Face"),
        ({"ModelScope": 10**9, "Hugging Face": 1}, "100 % ModelScope, <1 % Hugging Face"),
    ],
)
def test_shares_are_the_largest_first(bytes_by_name: Mapping[str, int], words: str) -> None:
    assert share_words(bytes_by_name) == words


def test_what_did_not_happen_is_not_told() -> None:
    assert fetch_facts(None) == []
    assert fetch_facts(DownloadResult("/cache/x", bytes=0)) == [("fetched", "0 B")]
    assert fetch_facts(RepairReport(parse_repo_id("me/mine"), (), 1500, 0)) == [("fetched", "1.5 kB")]


def test_the_practice_model_comes_from_no_hub() -> None:
    name = "qwen3ft/Qwen3-Practice"
    travelled = DownloadResult("/x", name, bytes=10, hub="modelscope", sources={"ModelScope": 10})
    table = plan_table(plan_of(name, hub="modelscope", files=[planned("a", "fetched", 10, "ModelScope")]))

    assert fetch_facts(travelled) == [("fetched", "10 B (100 % this package)")]
    assert "this package" in table.title
    assert "ModelScope" not in str(table.rows)


def test_a_download_that_found_the_model_says_so() -> None:
    assert fetch_facts(DownloadResult("/x", "a/b", was_cached=True)) == [("fetched", "0 B (in the cache)")]


def test_room_that_nobody_knows_is_not_told() -> None:
    room = CacheSummary("/cache", 1, 10**9, used=10**9, quota=2 * 10**9, free=None, incoming=0)
    assert room_words(room) == "1.0 GB of 2.0 GB used"
    assert room_words(replace(room, quota=None)) == ""
    assert room_words(replace(room, quota=None, free=0, incoming=5)) == "0 B free · 5 B of unfinished downloads"


# Plans


def test_a_plan_counts_files_by_what_becomes_of_them() -> None:
    files = [planned(f"a{number}", "fetched", 10**6, "ModelScope") for number in range(40)]
    files += [planned("b", "adopted", 5, "Hugging Face cache"), planned("c", "adopted", 6, "shared cache")]
    table = plan_table(plan_of("me/mine", files=files))
    assert table.rows == (
        ("adopted", "2", "11 B", "", "Hugging Face cache, shared cache"),
        ("to be fetched", "40", "40.0 MB", "40.0 MB", "ModelScope"),
    )


def notes(**changes: Any) -> list[str]:
    return list(plan_table(plan_of("me/mine", **{"is_update": False, **changes})).notes)


def test_a_plan_that_moves_nothing_says_so() -> None:
    said = notes(bytes_to_fetch=0, bytes_reused=10**9, room_bytes=0, rate=None, seconds=None)
    assert said == ["Nothing has to travel: 1.0 GB are on this disk already."]


def test_a_plan_without_a_measured_rate_promises_no_time() -> None:
    assert not [note for note in notes(rate=None, seconds=None) if "About" in note]


def test_a_plan_names_what_goes_and_what_could_go() -> None:
    said = notes(
        quota=2 * 10**11,
        to_evict=["a/old", "b/older"],
        missing_bytes=10**9,
        over_quota_bytes=7,
        evictable=[("c/big", 10**10), ("d/small", 10**6)],
    )
    assert said[3:] == [
        "Room: 2.4 GB of 50.0 GB free.",
        "Quota: 200 GB.",
        "Deleted before that to make room: a/old, b/older.",
        "It does not fit: 7 B over the quota.",
        "It does not fit: 1.0 GB are missing.",
        "Could be deleted: c/big (10.0 GB), d/small (1.0 MB).",
    ]


def test_an_update_names_what_changes_and_stops_somewhere() -> None:
    files = [planned("kept", "kept"), *(planned(f"f{number}", "fetched") for number in range(MOST_PATHS + 5))]
    said = notes(is_update=True, files=files)
    at = said.index(f"Changed files: {MOST_PATHS + 5}")
    assert said[at + 1] == "  to be fetched  f0  10 B"
    assert said[at + MOST_PATHS + 1 :] == ["  and 5 more"]


def test_an_update_without_changes_says_so() -> None:
    assert notes(is_update=True, files=[planned("config.json", "kept")])[-1] == "Nothing has changed."


def test_a_plan_is_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh_CN")
    table = plan_table(plan_of("me/mine", missing_bytes=5, quota=10))
    said = "\n".join([*table.columns, *(row[0] for row in table.rows), *table.notes])
    assert not [word for word in ("fetch", "Room", "kept", "missing", "Sources", "About") if word in said]
    assert "按 50.0 MB/s 估计约需 28 s。" in said


# Where bytes come from while they travel


def connections(*shares: tuple[int, str]) -> str:
    parts = [Message("{count} from {source}", count=count, source=source) for count, source in shares]
    return Message("connections: {sources}", sources=Texts(parts, ", "))


@pytest.mark.parametrize(
    ("detail", "chinese"),
    [
        (connections((8, "ModelScope"), (4, "Hugging Face")), "连接：ModelScope 8 个, Hugging Face 4 个"),
        (connections((1, Message("mirror {host}", host="10.0.0.5:8900"))), "连接：镜像 10.0.0.5:8900 1 个"),
        ("model.safetensors", "model.safetensors"),
        ("connections: none", "connections: none"),
    ],
)
def test_the_sources_of_a_download_are_shown_beside_the_bar(
    monkeypatch: pytest.MonkeyPatch, detail: str, chinese: str
) -> None:
    progress = Progress("transferring", detail=detail)
    assert progress_parts(progress)[-1] == detail
    monkeypatch.setenv("QWEN3FT_LANG", "zh")
    assert progress_parts(progress)[-1] == chinese
