"""Two jobs never write to one output folder at once, whatever machine and state folder each has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune import holding as held
from qwen3ft_jupyter.finetune.holding import HOLDER, check_not_held, holding
from qwen3ft_jupyter.work import Reporter, Work


class Told(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(str(message))


def from_elsewhere(folder: Path, **other: object) -> dict[str, object]:
    """What the file says if a process of another machine holds the folder."""
    data = json.loads((folder / HOLDER).read_text())
    data |= {"job": "theirs", "nonce": "another", "process": {**data["process"], "host": "gpu-7", "boot": "b"}}
    return {**data, **other}


def test_a_second_job_of_this_machine_is_refused_and_told_where_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holding(folder, "ours", Work()):
        with pytest.raises(BadConfig, match=r"the job ours on .* is writing to run"):
            check_not_held(folder)
        with pytest.raises(BadConfig, match="ours"), holding(folder, "another", Work()):
            pass
        assert (folder / HOLDER).exists()

    assert not folder.exists()
    check_not_held(folder)


def test_one_of_another_machine_is_refused_as_soon_as_the_first_shows_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path, "ours", Work()):
        there = from_elsewhere(tmp_path)
    (tmp_path / HOLDER).write_text(json.dumps(there))

    class Beats(Told):
        def notice(self, message: str) -> None:
            super().notice(message)
            (tmp_path / HOLDER).write_text(json.dumps({**there, "beats": 99}))

    told = Beats()
    monkeypatch.setattr(held, "LOOK_S", 0.01)

    with pytest.raises(BadConfig, match="the job theirs on gpu-7"), holding(tmp_path, "ours", Work(told)):
        pass

    assert "Waiting up to 60 s" in told.notices[0]


def test_what_a_silent_one_left_is_taken_over_and_who_comes_back_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path, "ours", Work()):
        there = from_elsewhere(tmp_path)
    (tmp_path / HOLDER).write_text(json.dumps(there))
    monkeypatch.setattr(held, "LOOK_S", 0.01)
    monkeypatch.setattr(held, "SILENT_S", 0.05)
    monkeypatch.setattr(held, "BEAT_S", 0.01)
    work = Work(told := Told())

    with holding(tmp_path, "ours", work):
        assert json.loads((tmp_path / HOLDER).read_text())["job"] == "ours"
        for _ in range(1000):  # as the beats of the other one do: one of ours that is being written may come after it
            (tmp_path / HOLDER).write_text(json.dumps(there))
            if work.stop.wait(0.06):
                break

    assert work.stop.is_set()

    assert "the job theirs on gpu-7 has taken over output_dir" in told.notices[-1]
    assert json.loads((tmp_path / HOLDER).read_text())["job"] == "theirs"


def test_who_waits_heeds_a_stop(tmp_path: Path) -> None:
    with holding(tmp_path, "ours", Work()):
        there = from_elsewhere(tmp_path)
    (tmp_path / HOLDER).write_text(json.dumps(there))
    work = Work()
    work.stop.set()

    with pytest.raises(Stopped), holding(tmp_path, "ours", work):
        pass
