"""The curves of a run: few points however long it was, every spike and every evaluation, and what is new cheaply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.finetune.curves import Part, RunCurves, Series

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write(path: Path, rows: Iterable[dict[str, float]], *, mode: str = "w") -> None:
    with path.open(mode) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def long_series(length: int) -> Series:
    series = Series()
    for step in range(1, length + 1):
        series.put(step, 1.0)
    return series


@pytest.mark.parametrize("length", [0, 1, 599, 600, 601, 10_000])
def test_a_curve_has_few_points_and_goes_to_its_end(length: int) -> None:
    drawn = long_series(length).draw(Part(points=600))

    assert len(drawn.steps) == len(drawn.means) <= 600
    assert drawn.steps[-1:] == ([length] if length else [])
    assert length <= 600 or len(drawn.steps) > 300


def test_a_spike_is_seen_however_many_steps_a_point_is_of() -> None:
    series = long_series(999)
    series.put(1000, 50.0)
    for step in range(1001, 10_001):
        series.put(step, 1.0)

    drawn = series.draw(Part(points=100))

    assert max(drawn.highs) == 50
    assert drawn.stride == 128


def test_a_part_shows_each_of_its_steps() -> None:
    drawn = long_series(10_000).draw(Part(first=5000, last=5100, points=600))

    assert (drawn.stride, drawn.steps) == (1, list(range(5000, 5101)))


def test_what_is_new_fits_what_is_known(tmp_path: Path) -> None:
    curves = RunCurves(tmp_path / "metrics.jsonl")
    write(tmp_path / "metrics.jsonl", ({"step": step, "loss": step} for step in range(1, 1000)))
    curves.read_on()
    before = curves.to_dict(Part())
    write(tmp_path / "metrics.jsonl", ({"step": step, "loss": step} for step in range(1000, 1011)), mode="a")
    curves.read_on()

    new = curves.to_dict(Part(after=before["last_step"]))["series"]["loss"]

    known = before["series"]["loss"]
    joined = {name: known[name][: new["start"]] + new[name] for name in ("steps", "means", "lows", "highs")}
    assert new["stride"] == known["stride"] == 2
    assert len(new["steps"]) < 10
    assert {**joined, "stride": 2, "start": 0} == curves.to_dict(Part())["series"]["loss"]


def test_every_evaluation_is_drawn_beside_a_long_loss(tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 1.0} for step in range(1, 5001)]
    rows += [{"step": step, "eval_loss": 0.5} for step in range(100, 5001, 100)]
    write(tmp_path / "metrics.jsonl", sorted(rows, key=lambda row: row["step"]))
    curves = RunCurves(tmp_path / "metrics.jsonl")
    curves.read_on()

    series = curves.to_dict(Part())["series"]

    assert series["eval_loss"]["steps"] == list(range(100, 5001, 100))
    assert len(series["loss"]["steps"]) <= 600


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    curves = RunCurves(path)
    write(path, ({"step": step, "loss": 9.0} for step in range(1, 11)))
    curves.read_on()
    version = curves.to_dict(Part())["version"]
    write(tmp_path / "new", ({"step": step, "loss": 9.0} for step in range(1, 6)))
    (tmp_path / "new").replace(path)  # what was computed after the last checkpoint is gone
    write(path, ({"step": step, "loss": 1.0} for step in range(6, 12)), mode="a")
    curves.read_on()

    told = curves.to_dict(Part())

    assert told["series"]["loss"]["means"] == [9.0] * 5 + [1.0] * 6
    assert told["version"] != version


def test_lines_that_are_none_and_values_that_are_no_numbers_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": NaN, "grad_norm": 1}\n[]\nnothing\n{"step": "2"}\n{"step": 2, "loss": 3, "a": "b"}\n{"st'
    )
    curves = RunCurves(path)
    curves.read_on()
    curves.read_on()

    series = curves.to_dict(Part())["series"]

    assert {name: one["steps"] for name, one in series.items()} == {"grad_norm": [1], "loss": [2]}


def test_a_run_without_metrics_has_no_curves(tmp_path: Path) -> None:
    curves = RunCurves(tmp_path / "metrics.jsonl")
    curves.read_on()

    assert curves.to_dict(Part())["series"] == {}
