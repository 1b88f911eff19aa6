"""The verbs about settings, models and what is in the cache.

A new option of a download is one row here and one field of `DownloadRequest`.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from qwen3ft_jupyter.faces.verbs.entries import (
    ALL,
    DETACH,
    HUBS,
    JSON,
    MAGIC,
    OTHER_OWNERS,
    REST,
    SOURCES,
    TYPED,
    Argument,
    Option,
    Verb,
)
from qwen3ft_jupyter.messages import Message

NAME: Final = Argument("NAME", "model_name", "model")
REVISION: Final = Option("--revision", "chooses one of several revisions.", "R", "text")
_wish = partial(Option, faces=ALL, is_wish=True)
_max_speed = partial(Option, "--max-speed", metavar="SPEED", kind="speed", faces=ALL)
READ_SPEED: Final = _max_speed("limits the speed of reading, for example to 200MB a second.")
OF_DATASETS: Final = "NAME may be that of a data set in the cache, as list --datasets shows it: ms:owner/name."
MODELS: Final[tuple[Verb, ...]] = (
    Verb("status", "Says which hub and which cache are used, and why.", options=(JSON,)),
    Verb("models", "Lists the Qwen3 models, what each needs, and what is cached.", options=(JSON,)),
    Verb(
        "details",
        "Shows what is known of a model: its files, its licence, its copies on this disk, and how fast sources were.",
        (NAME,),
        (
            Option(
                "--revision",
                "is a branch, tag or commit; what is cached, or the hub's default branch, if left out.",
                "R",
                "text",
            ),
            Option("--card", "shows its model card instead, which its publisher wrote.", into="is_card"),
            JSON,
        ),
        ("A hub is asked for what is not in the cache; with --offline none is.",),
        panel=Message("Details of {name}"),
    ),
    Verb(
        "download",
        "Downloads a model into the cache as a job, and follows it.",
        (Argument("NAME", "model_name", "model", optional_in=MAGIC),),
        (
            _wish("--force", "fetches every file again although the model is cached."),
            _wish("--revision", "takes a branch, tag or commit; the hub's default branch if left out.", "R", "text"),
            _wish("--update", "fetches what has changed since it was downloaded."),
            _wish("--sources", f"takes bytes only from these: {', '.join(SOURCES)}.", "A,B", "list", choices=SOURCES),
            _wish("--in-place", "uses the copy that another tool has on this disk where it is."),
            _max_speed("limits the speed, for example to 20MB a second; none lifts the limit."),
            # typed, it is an option of every verb
            Option(
                "--hub", "asks that hub first (USE_MODELSCOPE).", "HUB", "text", choices=HUBS, faces=REST, is_wish=True
            ),
            Option(
                "--dry-run",
                "only shows what would be fetched, whether there is room, and how long it takes.",
                faces=ALL,
            ),
            DETACH,
        ),
        (
            "In a notebook without NAME: a form to pick one.",
            "Interrupting the kernel does not stop the job.",
            "In a terminal the last line on stdout is the model's folder; Ctrl-C stops it and keeps what arrived.",
        ),
        panel=Message("Download {name}"),
    ),
    Verb(
        "list",
        "Lists the cached models, and those that other tools have on this disk.",
        options=(Option("--datasets", "lists the data sets in the cache instead."), JSON),
        aliases=("cache", "cache list"),
        panel=Message("Cache"),
    ),
    Verb(
        "updates",
        "Asks the hubs whether they have newer commits of cached models, and shows what an update would fetch.",
        (Argument("NAME", "model_names", "model", optional_in=TYPED, is_many=True),),
        (JSON,),
        (
            "Without NAME all cached models are meant that follow a branch or tag.",
            "In a terminal the exit code is 0 if nothing is newer, 3 if something is, and 1 if a hub could not say.",
        ),
        panel=Message("Check for updates"),
    ),
    Verb(
        "verify",
        "Reads every byte of a cached model again, as a job.",
        (NAME,),
        (REVISION, READ_SPEED, DETACH),
        (OF_DATASETS,),
        aliases=("cache verify",),
        panel=Message("Verify {name}"),
    ),
    Verb(
        "repair",
        "Reads every byte of a cached model again and fetches what is wrong, as a job.",
        (NAME,),
        (REVISION, READ_SPEED, DETACH),
        (OF_DATASETS,),
        aliases=("cache repair",),
        panel=Message("Repair {name}"),
    ),
    Verb(
        "pin",
        "Protects a model from being deleted to make room.",
        (NAME,),
        (REVISION,),
        (OF_DATASETS,),
        aliases=("cache pin",),
        panel=Message("Pin {name}"),
    ),
    Verb(
        "unpin",
        "Allows a model to be deleted again to make room.",
        (NAME,),
        (REVISION,),
        (OF_DATASETS,),
        aliases=("cache unpin",),
        panel=Message("Unpin {name}"),
    ),
    Verb(
        "evict",
        "Deletes cached models.",
        (Argument("NAME", "model_name", "model", group="which"),),
        (
            Option(
                "--all",
                "deletes every downloaded model that is not pinned; files of others stay.",
                into="is_all",
                group="which",
            ),
            Option(
                "--owner",
                "deletes the copy that another tool has on this disk.",
                "O",
                "text",
                choices=OTHER_OWNERS,
                faces=ALL,
            ),
            REVISION,
            Option("--everything", "also deletes files in its folder that do not belong to the model.", faces=ALL),
        ),
        (OF_DATASETS,),
        aliases=("cache evict",),
        panel=Message("Delete {name} from the cache"),
    ),
    Verb(
        "where",
        "Says in which folder a model on this disk lies.",
        (NAME,),
        (
            REVISION,
            Option("--owner", "means the copy that another tool has.", "O", "text", choices=OTHER_OWNERS),
        ),
        ("Of several copies it is the one that is loaded.", OF_DATASETS),
    ),
    Verb(
        "move",
        "Moves the whole cache to another folder.",
        (Argument("DIR", "folder"),),
        (Option("--dry-run", "only shows how much would move, and whether there is room.", faces=ALL),),
        details=("Every file is checked in the new folder before the old one is deleted.",),
        aliases=("cache move",),
    ),
    Verb(
        "load",
        "Loads a model into model and tokenizer; what is not cached is downloaded first.",
        (Argument("NAME", "model_name", "run"),),
        (
            Option("--as", "puts it into VARIABLE and VARIABLE_tokenizer.", "VARIABLE", "text", into="variable"),
            Option("--4bit", "loads it in 4 bits.", into="quantization", stores="4bit", group="bits"),
            Option("--8bit", "loads it in 8 bits.", into="quantization", stores="8bit", group="bits"),
        ),
        (
            "NAME is a repo id, or the job id or output folder of a fine-tune.",
            "In a terminal: prints the Python that does it.",
        ),
        panel=Message("Load {name}"),
    ),
)
