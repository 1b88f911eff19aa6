"""How fast sources were is remembered by itself: the jobs that measured it may be forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.rates import LEAST_BYTES, MOST_SOURCES, RATES_NAME, note_rates, read_rates
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from tests.servers import ScriptedServer, dataset_hub

if TYPE_CHECKING:
    from pathlib import Path

REPO = "org/small"
NOBODY = "http://127.0.0.1:9"
MB = 1_000_000


def manager_of(folder: Path, endpoint: str, **more: Any) -> ModelManager:
    more = {"cache_dir": folder / "cache", "state_dir": folder / "state", **more}
    return get_model_manager(modelscope_endpoint=endpoint, hf_endpoint=endpoint, **more)


def test_what_a_download_measured_is_told_when_its_job_is_forgotten(tmp_path: Path) -> None:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        job = manager_of(tmp_path, mirror.url).download(REPO)
        job.wait()
    result = dict(job.status().result or {})
    job.forget()

    manager = manager_of(tmp_path, NOBODY)
    [source] = manager.details("org/another").to_dict()["sources"]

    assert manager.jobs() == []
    assert (source["name"], source["bytes"]) == ("ModelScope", result["bytes"])
    assert (source["seconds"], source["rate"]) == (result["seconds"], result["bytes"] / result["seconds"])


def test_a_download_of_this_process_measures_as_well_and_one_that_fetches_nothing_does_not(tmp_path: Path) -> None:
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        manager = manager_of(tmp_path, mirror.url, use_modelscope=False)
        manager.ensure_model_cached(REPO)
        [measured] = read_rates(manager.settings.state_dir)
        manager.ensure_model_cached(REPO)

    assert measured.name == "Hugging Face"
    assert read_rates(manager.settings.state_dir) == [measured]


def test_a_data_set_measures_its_hub_like_a_model(tmp_path: Path) -> None:
    row = b'{"question": "' + b"q" * LEAST_BYTES + b'", "answer": "a"}\n'
    with ScriptedServer(dataset_hub({"org/talks": {"train.jsonl": row}})) as server:
        manager = manager_of(tmp_path, server.url)
        manager.ensure("ms:org/talks")

    assert [one.name for one in read_rates(manager.settings.state_dir)] == ["ModelScope"]


def test_the_practice_model_measures_no_hub_and_has_none(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, NOBODY)
    manager.ensure_model_cached(PRACTICE_REPO_ID)
    assert read_rates(manager.settings.state_dir) == []
    note_rates(manager.settings.state_dir, {"ModelScope": 5 * MB}, 1.0)

    assert manager.details(PRACTICE_REPO_ID).sources == []
    assert [one.rate for one in manager.details(REPO).sources] == [5e6]


def test_the_latest_measure_of_each_source_counts_and_the_fastest_comes_first(tmp_path: Path) -> None:
    note_rates(tmp_path, {"ModelScope": 900 * MB, "Hugging Face": 10 * MB}, 10.0)
    note_rates(tmp_path, {"ModelScope": 50 * MB, "mirror 10.0.0.5": 200 * MB}, 10.0)

    assert [(one.name, one.rate) for one in read_rates(tmp_path)] == [
        ("mirror 10.0.0.5", 20e6),
        ("ModelScope", 5e6),
        ("Hugging Face", 1e6),
    ]


def test_too_few_bytes_or_no_time_tell_nothing(tmp_path: Path) -> None:
    note_rates(tmp_path, {"ModelScope": LEAST_BYTES - 1}, 10.0)
    note_rates(tmp_path, {"ModelScope": 5 * MB}, 0.0)

    assert not (tmp_path / RATES_NAME).exists()


def test_of_many_sources_those_of_late_are_kept(tmp_path: Path) -> None:
    for number in range(MOST_SOURCES + 3):
        note_rates(tmp_path, {f"mirror {number}": MB}, 1.0)

    kept = {one.name for one in read_rates(tmp_path)}
    assert len(kept) == MOST_SOURCES
    assert f"mirror {MOST_SOURCES + 2}" in kept
    assert "mirror 0" not in kept


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", '{"a": 1, "b": [1], "c": ["x", 1, 1], "d": [5000000, 0, 1]}', '{"e": [Infinity, 1, NaN]}'],
)
def test_a_file_that_is_none_of_ours_tells_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / RATES_NAME).write_text(text)
    assert read_rates(tmp_path) == []

    note_rates(tmp_path, {"ModelScope": 5 * MB}, 1.0)

    assert [one.name for one in read_rates(tmp_path)] == ["ModelScope"]


def test_a_state_folder_that_is_none_stops_no_download(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    with Mirror({REPO: MODEL_FOLDER}) as mirror:
        manager_of(tmp_path, mirror.url).ensure_model_cached(REPO)

    assert read_rates(tmp_path / "state") == []
