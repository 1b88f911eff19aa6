"""The notebook and the panel word each phase and each state alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.format import progress_parts
from qwen3ft_jupyter.faces.job_views import job_text
from qwen3ft_jupyter.jobs.state import STATES, JobState, JobStatus
from qwen3ft_jupyter.manager.overview import SettingRow
from qwen3ft_jupyter.messages import Command, Language, Message, Speaker
from qwen3ft_jupyter.work import PHASES, Progress
from tests.server.standin import StandInJob, StandInManager


def panels(status: JobStatus, language: Language) -> dict[str, str]:
    told = say.answer(StandInJob("a", script=[status]).snapshot(), Speaker(language))
    return {"state": told["state_words"], "phase": told["progress"]["phase_words"] if told["progress"] else ""}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_is_called_alike(monkeypatch: pytest.MonkeyPatch, phase: str, language: Language) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", language)
    notebooks = progress_parts(Progress(phase))[0]

    assert panels(JobStatus("running", 1, progress=Progress(phase)), language)["phase"].lower() == notebooks


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("state", STATES)
def test_a_state_is_called_alike(monkeypatch: pytest.MonkeyPatch, state: JobState, language: Language) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", language)
    status = JobStatus(state, 1)

    first = job_text(StandInJob("a", script=[status]).snapshot()).splitlines()[0]

    assert panels(status, language)["state"].lower() in first.split(" · ")


def test_a_phase_of_another_version_is_shown_by_its_name() -> None:
    assert panels(JobStatus("running", 1, progress=Progress("dreaming")), "zh")["phase"] == "Dreaming"


def test_an_error_is_said_in_the_language_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")
    error = NotCached("{name} is not in the cache.", hint="Download it: {command}", name="a/b",
                      command=Command("download", "a/b"))  # fmt: skip

    assert say.error(error, "cli")["hint"] == "下载：qwen3ft download a/b"
    assert say.error(error, "magic")["hint"] == "下载：%qwen3ft download a/b"
    assert str(error) == "a/b is not in the cache. Download it: %qwen3ft download a/b"


def test_a_value_that_somebody_set_is_not_translated() -> None:
    settings = (SettingRow("A", "none", "default", ""), SettingRow("B", Message("none"), "default", ""))

    told = say.status(replace(StandInManager().describe(), rows=settings), Speaker("zh"))

    assert [row.value for row in told.rows] == ["none", "无"]
