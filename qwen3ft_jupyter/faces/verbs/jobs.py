"""The verbs about jobs."""

from __future__ import annotations

from typing import Final

from qwen3ft_jupyter.faces.verbs.entries import ALL, JSON, MAGIC, TYPED, Argument, Option, Verb
from qwen3ft_jupyter.messages import Message

ID: Final = Argument("ID", "id", "job")
JOBS: Final[tuple[Verb, ...]] = (
    Verb(
        "jobs",
        "Lists the jobs, or shows one of them.",
        (Argument("ID", "id", "job", optional_in=TYPED),),
        (JSON,),
        ("The beginning or the end of an ID is enough if no other job has it.",),
        panel=Message("Jobs"),
    ),
    Verb(
        "jobs stop",
        "Stops a job and keeps what it has done.",
        (ID,),
        aliases=("stop",),
        panel=Message("Stop"),
    ),
    Verb("jobs pause", "Pauses a download, verify, repair, merge or push.", (ID,), panel=Message("Pause")),
    Verb(
        "jobs resume",
        "Continues a job that is paused or has ended early.",
        (ID,),
        (Option("--detach", "returns at once, as a terminal always does.", faces=MAGIC),),
        panel=Message("Resume"),
    ),
    Verb(
        "jobs limit",
        "Changes the speed limit of a download, verify, repair, merge or push.",
        (ID, Argument("SPEED", "max_speed", kind="speed")),
        details=("SPEED is an amount a second, for example 20MB, or none for no limit.",),
    ),
    Verb("jobs follow", "Shows a job until it ends; an interrupt ends only the showing.", (ID,)),
    Verb("jobs log", "Shows a job's log.", (ID,), panel=Message("Log")),
    Verb(
        "jobs forget",
        "Deletes a job's record and log; its results stay.",
        (ID,),
        (Option("--there", "deletes it from the list of PAI-DLC as well, if it ran there.", faces=ALL),),
        panel=Message("Forget"),
    ),
)
