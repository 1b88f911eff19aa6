"""What comes from below the faces, in the language of its reader and with commands as the face writes them. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.messages import Message, Speaker
from qwen3ft_jupyter.work import HEALTHS, PHASES, UNITS

if TYPE_CHECKING:
    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.jobs.state import JobSnapshot, SaidJob
    from qwen3ft_jupyter.manager.overview import Description, ModelRow

KIND_WORDS: Final[dict[str, str]] = {
    "hybrid": Message("thinks on demand"),
    "instruct": Message("instruct"),
    "thinking": Message("thinking"),
    "base": Message("base"),
    "moe": Message("mixture of experts"),
}
"""What people call the kinds of models."""


def error(what: Qwen3ftError, face: Face) -> dict[str, str]:
    """Return code, message and hint for the person in front of this process."""
    speaker = speaker_of(face)
    return what.to_dict(speaker.language, speaker.grammar)


def job(what: JobSnapshot, speaker: Speaker) -> JobSnapshot:
    """Return a job with its sentences said."""
    status = what.status
    error, progress = status.error, status.progress
    said = replace(
        status,
        notices=tuple(map(speaker.say, status.notices)),
        error=error and {name: text if name == "code" else speaker.say(text) for name, text in error.items()},
        progress=progress and replace(progress, detail=speaker.say(progress.detail)),
        result=speaker.say_within(status.result),
    )
    return replace(what, title=speaker.say(what.title), status=said)


def answer(what: JobSnapshot, speaker: Speaker) -> SaidJob:
    """Return a job as ``GET /qwen3ft/jobs/{id}`` answers it."""
    told: SaidJob = {**job(what, speaker).to_dict(), "state_words": speaker.say_alone(what.state_word)}
    if told["progress"]:
        unit = told["progress"]["unit"]
        told["progress"]["phase_words"] = speaker.say_alone(phase_word(told["progress"]["phase"]))
        told["progress"]["unit_words"] = speaker.say(UNITS.get(unit, unit))
    if told["ranks"]:
        rows = [{**row, "health_words": speaker.say(HEALTHS[row["health"]])} for row in told["ranks"]["ranks"]]
        told["ranks"] = {**told["ranks"], "ranks": rows}  # type: ignore[typeddict-item]  # with words
    return told


def phase_word(name: str) -> str:
    """Return what a phase is called; its name if another version has given it.

    >>> phase_word("transferring"), phase_word("dreaming")
    ('downloading', 'dreaming')
    """
    return PHASES[name].word if name in PHASES else name


def model(row: ModelRow, speaker: Speaker) -> ModelRow:
    """Return a row of the catalogue with its words said."""
    return replace(row, role=speaker.say(row.role), badge=speaker.say(row.badge), note=speaker.say(row.note))


def model_answer(row: ModelRow, speaker: Speaker) -> dict[str, object]:
    """Return a row of the catalogue as ``GET /qwen3ft/models`` answers it."""
    return {
        **model(row, speaker).to_dict(),
        "role_words": speaker.say_alone(row.role),
        "kind_words": speaker.say_alone(KIND_WORDS.get(row.kind, row.kind)),
    }


def status(what: Description, speaker: Speaker) -> Description:
    """Return the settings in force with what is not a value that somebody has set said."""
    rows = [replace(row, value=_value(row.value, speaker), origin=speaker.say(row.origin)) for row in what.rows]
    return replace(what, rows=tuple(rows), notices=tuple(map(speaker.say, what.notices)))


def _value(value: str, speaker: Speaker) -> str:
    """Return a setting's value; what somebody has set is never translated."""
    return speaker.say(value) if isinstance(value, Message) else value
