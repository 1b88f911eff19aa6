"""Lines in segments: few files, every line once, nothing written over; a kill costs the last seconds at most."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter import segments
from qwen3ft_jupyter.disk import LocalDisk
from qwen3ft_jupyter.finetune import metrics as metrics_module
from qwen3ft_jupyter.finetune.curves import Part, RunCurves
from qwen3ft_jupyter.finetune.metrics import MetricsFile, read_metrics
from qwen3ft_jupyter.segments import MOST, Segments, clear, folder_of, parts_of, put_together, read_lines, read_parts
from tests.jobs.following import wait_until

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines.jsonl"


def line(number: int) -> bytes:
    return f'{{"n": {number}}}\n'.encode()


def lines(count: int) -> bytes:
    return b"".join(map(line, range(1, count + 1)))


def test_lines_are_written_by_themselves_and_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "EVERY_S", 0.01)
    written = Segments(path)

    assert written.write(line(1)) == len(line(1))

    wait_until(lambda: bool(parts_of(path)))
    wait_until(lambda: read_lines(path) == line(1))
    assert not path.exists()


def test_ten_thousand_segments_are_few_files_and_every_line_is_there_once(path: Path) -> None:
    written = Segments(path)
    most = 0
    for number in range(1, 10_001):
        written.write(line(number))
        if number % 50 == 0:
            written.flush()
            most = max(most, len(parts_of(path)))
            assert number % 1000 or read_lines(path) == lines(number)

    assert most < MOST
    put_together(path)
    assert path.read_bytes() == lines(10_000)
    assert not folder_of(path).exists()


def test_what_follows_a_number_is_read_without_the_rest(path: Path) -> None:
    written = Segments(path)
    for number in range(1, 4):
        written.write(line(number))
        written.flush()

    assert read_parts(path, after=2) == [line(3)]


@pytest.mark.parametrize("kept", [0, 1], ids=["before the others are deleted", "when one of them is"])
def test_a_kill_while_they_are_put_together_costs_no_line_and_doubles_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    written = Segments(path)
    deleted: list[Path] = []

    def die(_disk: LocalDisk, part: Path) -> None:
        if len(deleted) == kept:
            raise KeyboardInterrupt
        deleted.append(part)
        part.unlink()

    for number in range(1, MOST):
        written.write(line(number))
        written.flush()
    written.write(line(MOST))
    with monkeypatch.context() as patch:
        patch.setattr(LocalDisk, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            written.flush()

    assert len(parts_of(path)) > 1
    assert read_lines(path) == lines(MOST)


def test_a_torn_segment_is_left_out(path: Path) -> None:
    written = Segments(path)
    written.write(line(1))
    written.flush()
    parts_of(path)[0].with_name("0000000002-0a1b2c3d.jsonl").write_bytes(line(2)[:-3])

    assert read_lines(path) == line(1)


def test_what_cannot_be_written_is_told_with_the_next_line_and_written_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "EVERY_S", 0.0)
    folder_of(path).write_text("in the way")
    written = Segments(path)
    written.write(line(1))
    wait_until(lambda: written._error is not None)

    with pytest.raises(FileExistsError):
        written.write(line(2))
    folder_of(path).unlink()
    written.close()

    assert read_lines(path) == lines(2)
    with pytest.raises(ValueError, match="closed"):
        written.write(line(3))


def test_only_segments_are_deleted(path: Path) -> None:
    written = Segments(path)
    written.write(line(1))
    written.close()
    (folder_of(path) / "notes.txt").write_text("mine")

    clear(path)

    assert [one.name for one in folder_of(path).iterdir()] == ["notes.txt"]


def test_a_planted_symlink_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    theirs = tmp_path / "elsewhere" / "0000000002-0a1b2c3d.jsonl"
    theirs.write_bytes(line(2))
    folder_of(path).symlink_to("elsewhere", target_is_directory=True)
    written = Segments(path)
    written.write(line(1))
    written.close()

    assert read_lines(path) == line(1)
    assert theirs.read_bytes() == line(2)


# Metrics in segments


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A metrics file where none can be added to."""
    monkeypatch.setattr(metrics_module, "can_append", lambda _folder: False)
    return tmp_path / "metrics.jsonl"


def drawn(curves: RunCurves) -> dict[str, list[float]]:
    curves.read_on()
    series = curves.to_dict(Part(points=4000))["series"]
    return {name: [*map(float, one["steps"])] for name, one in series.items()}


def test_curves_go_on_while_segments_come_are_put_together_and_end_as_a_file(metrics: Path) -> None:
    curves = RunCurves(metrics)
    with MetricsFile(metrics, last_step=0) as file:
        for step in range(1, 3 * MOST):
            file.add({"step": step, "loss": float(step)})
            if step % 10 == 0:
                file.add({"step": step, "eval_loss": 0.5})
            file.flush()
            steps = [*map(float, range(1, step + 1))]
            assert drawn(curves)["loss"] == steps
            assert [row["step"] for row in read_metrics(metrics)] == steps

    told = drawn(curves)
    assert told["loss"] == steps
    assert told["eval_loss"] == [*map(float, range(10, 3 * MOST, 10))]
    assert [json.loads(one)["step"] for one in metrics.read_text().splitlines()] == steps
    assert not folder_of(metrics).exists()


@pytest.mark.parametrize("begun_as", ["segments", "file"])
def test_a_run_that_is_resumed_has_no_step_twice_and_its_curves_forget_what_is_computed_again(
    metrics: Path, begun_as: str
) -> None:
    if begun_as == "file":  # the mount has changed its ways
        metrics.write_text("".join(json.dumps({"step": step, "loss": 9.0}) + "\n" for step in range(1, 8)))
    else:
        killed = MetricsFile(metrics, last_step=0)
        for step in range(1, 8):
            killed.add({"step": step, "loss": 9.0})
        killed.flush()
    curves = RunCurves(metrics)
    before = (drawn(curves), curves.version)

    with MetricsFile(metrics, last_step=5) as file:
        assert [row["step"] for row in file.rows] == [1, 2, 3, 4, 5]
        assert drawn(curves)["loss"] == [1, 2, 3, 4, 5]
        file.add({"step": 6, "loss": 1.0})
        file.flush()
        told = drawn(curves)

    assert before[0]["loss"] == [1, 2, 3, 4, 5, 6, 7]
    assert told["loss"] == [1, 2, 3, 4, 5, 6]
    assert curves.version != before[1]
    assert [row["loss"] for row in read_metrics(metrics)] == [9.0] * 5 + [1.0]


def test_a_run_that_goes_on_where_files_can_be_added_to_takes_over_its_segments(
    metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = MetricsFile(metrics, last_step=0)
    killed.add({"step": 1, "loss": 2.0})
    killed.flush()
    monkeypatch.setattr(metrics_module, "can_append", lambda _folder: True)

    with MetricsFile(metrics, last_step=1):
        assert not folder_of(metrics).exists()
        assert [row["step"] for row in read_metrics(metrics)] == [1]


def test_metrics_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.mkdir()

    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        MetricsFile(path, last_step=1)

    assert list(tmp_path.iterdir()) == [path]
