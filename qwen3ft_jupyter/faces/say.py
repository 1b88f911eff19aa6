"""What comes from below the faces, in the language of its reader and with commands as the face writes them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.jobs.state import STATE_WORDS
from qwen3ft_jupyter.messages import Message, Speaker
from qwen3ft_jupyter.work import PHASES, UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.errors import Qwen3ftError
    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.jobs.state import JobJson, SaidJob
    from qwen3ft_jupyter.manager.overview import ModelRow, SettingJson, StatusJson

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


def job(what: JobJson, speaker: Speaker) -> SaidJob:
    """Return a job with its sentences said; `what` is what `Job.to_dict` gives."""
    failure, progress = what["error"], what["progress"]
    return {
        **what,
        "title": speaker.say(what["title"]),
        "state_words": speaker.say_alone(state_word(what)),
        "progress": progress and _progress(progress, speaker),
        "notices": [speaker.say(notice) for notice in what["notices"]],
        "result": speaker.say_within(what["result"]),
        "error": failure and {name: text if name == "code" else speaker.say(text) for name, text in failure.items()},
    }


def shown_state(what: JobJson) -> str:
    """Return the state of a job, of which `what` is what `Job.to_dict` gives, or "paused".

    >>> shown_state({"state": "running", "controls": {"paused": True, "max_speed": None}})
    'paused'
    """
    controls = what["controls"]
    is_paused = what["state"] in ("queued", "running") and controls is not None and controls["paused"]
    return "paused" if is_paused else str(what["state"])


def state_word(what: JobJson) -> str:
    """Return what the state of a job is called; its name if another version has given it."""
    state = shown_state(what)
    return STATE_WORDS.get(state, state)


def phase_word(name: str) -> str:
    """Return what a phase is called; its name if another version has given it.

    >>> phase_word("transferring"), phase_word("dreaming")
    ('downloading', 'dreaming')
    """
    return PHASES[name].word if name in PHASES else name


def model(row: ModelRow, speaker: Speaker) -> dict[str, object]:
    """Return a row of the catalogue, as `ModelManager.models` gives it."""
    return {
        **row,
        "role": speaker.say(row["role"]),
        "role_words": speaker.say_alone(row["role"]),
        "badge": speaker.say(row["badge"]),
        "kind_words": speaker.say_alone(KIND_WORDS.get(row["kind"], row["kind"])),
        "note": speaker.say(row["note"]),
    }


def status(what: StatusJson, speaker: Speaker) -> StatusJson:
    """Return the settings in force; `what` is what `ModelManager.describe` says."""
    rows: list[SettingJson] = [
        {**row, "value": _value(row["value"], speaker), "origin": speaker.say(row["origin"])}
        for row in what["settings"]
    ]
    return {**what, "settings": rows, "warnings": [speaker.say(warning) for warning in what["warnings"]]}


def _value(value: str, speaker: Speaker) -> str:
    """Return a setting's value; what somebody has set is never translated."""
    return speaker.say(value) if isinstance(value, Message) else value


def _progress(what: Mapping[str, Any], speaker: Speaker) -> dict[str, Any]:
    return {
        **what,
        "phase_words": speaker.say_alone(phase_word(what["phase"])),
        "unit_words": speaker.say(UNITS.get(what["unit"], what["unit"])),
        "detail": speaker.say(what["detail"]),
    }
