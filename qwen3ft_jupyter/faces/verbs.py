"""The one table of verbs: what people can ask for, in every face under the same words.

The parsers of the command line and of the magic, completion, help, the reference in ``docs/verbs.md`` and the names of
REST fields are made from it. A new option of a download is one row here and one field of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, cast

from qwen3ft_jupyter.messages import Message, Speaker, as_message, reader

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from qwen3ft_jupyter.download.request import Wanted
    from qwen3ft_jupyter.messages import Command, Grammar

Face = Literal["cli", "magic", "rest", "panel"]
Kind = Literal["flag", "text", "count", "list", "speed"]
Completes = Literal["", "model", "run", "tuned", "job", "verb"]
"""What a word names: a model; a model, or a job or folder of a fine-tune; only the latter; a job; a verb."""

TYPED: Final = frozenset[Face]({"cli", "magic"})
ALL: Final = frozenset[Face]({"cli", "magic", "rest"})
CLI: Final = frozenset[Face]({"cli"})
MAGIC: Final = frozenset[Face]({"magic"})
REST: Final = frozenset[Face]({"rest"})
NOWHERE: Final = frozenset[Face]()

PROGRAM: Final = "qwen3ft"
HUBS: Final = ("modelscope", "huggingface")
OTHER_OWNERS: Final = ("huggingface", "modelscope", "folder")
"""Those of whose copies none is deleted unless they are named."""
SOURCES: Final = ("modelscope", "huggingface", "mirrors", "disk")
"""Where bytes can come from, as in `settings.declared.SOURCE_NAMES`, whose import takes longer than all of this."""


@dataclass(frozen=True, slots=True)
class Argument:
    """A word after the verb that has no flag."""

    metavar: str
    field: str
    completes: Completes = ""
    optional_in: frozenset[Face] = NOWHERE
    group: str = ""
    """Exactly one of a group that holds an argument is given."""
    is_many: bool = False
    """There may be several of it."""
    is_text: bool = False
    """It is all the rest of the line, as it was typed."""
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Option:
    """A flag, with or without a value. Flag and help read as a sentence."""

    flag: str
    help: str
    metavar: str = ""
    """Of the value; a flag without one is a switch."""
    kind: Kind = "flag"
    into: str = ""
    """The field it fills; that of the flag's name if left out."""
    stores: str = ""
    """What a switch puts into the field, instead of yes."""
    choices: tuple[str, ...] = ()
    """Values that are completed."""
    takes_others: bool = False
    """Other values than these are accepted, too."""
    group: str = ""
    """At most one of a group is given."""
    faces: frozenset[Face] = TYPED
    is_wish: bool = False
    """It is a field of the same name of `DownloadRequest`."""

    @property
    def field(self) -> str:
        """Return the field it fills."""
        return self.into or self.flag.lstrip("-").replace("-", "_")

    @property
    def only(self) -> tuple[str, ...]:
        """Return the values of which one is given; none if any may be."""
        return () if self.kind == "list" or self.takes_others else self.choices


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that people can ask for."""

    name: str
    summary: str
    """One line for the help."""
    arguments: tuple[Argument, ...] = ()
    options: tuple[Option, ...] = ()
    details: tuple[str, ...] = ()
    """More lines, for the help on this verb alone."""
    aliases: tuple[str, ...] = ()
    """Other spellings, which go on working."""
    faces: frozenset[Face] = TYPED
    takes_cell: bool = False
    """``%%qwen3ft VERB`` takes the cell."""
    panel: str = ""
    """The words of the panel's button, with a place for a name if it is about a model."""

    def options_in(self, face: Face) -> list[Option]:
        """Return the options that a face has, those that every verb takes not among them."""
        return [option for option in self.options if face in option.faces]

    def usage(self, face: Face, spelled: str = "") -> str:
        """Return how it is written after the program's name.

        >>> find("load").usage("magic")
        'load NAME [--as VARIABLE] [--4bit | --8bit]'
        """
        entries: list[Argument | Option] = [*self.arguments, *self.options_in(face)]
        groups: dict[object, list[Argument | Option]] = {}
        for entry in entries:
            groups.setdefault(entry.group or id(entry), []).append(entry)
        return " ".join([spelled or self.name, *(_written_group(members, face) for members in groups.values())])

    def wishes(self, given: Namespace) -> Wanted:
        """Return the fields of a download request that a line fills."""
        return cast("Wanted", {option.field: getattr(given, option.field) for option in self.options if option.is_wish})


def _written_group(members: Sequence[Argument | Option], face: Face) -> str:
    words = " | ".join(map(_written, members))
    if isinstance(members[0], Option) or face in members[0].optional_in:
        return f"[{words}]"
    return words if len(members) == 1 else f"({words})"


def _written(entry: Argument | Option) -> str:
    if isinstance(entry, Argument):
        return f"{entry.metavar} {entry.metavar} …" if entry.is_many else entry.metavar
    value = "|".join(entry.only) or entry.metavar
    return f"{entry.flag} {value}" if value else entry.flag


NAME: Final = Argument("NAME", "model_name", "model")
ID: Final = Argument("ID", "id", "job")
REVISION: Final = Option("--revision", "chooses one of several revisions.", "R", "text")
_wish = partial(Option, faces=ALL, is_wish=True)
_max_speed = partial(Option, "--max-speed", metavar="SPEED", kind="speed", faces=ALL)
READ_SPEED: Final = _max_speed("limits the speed of reading, for example to 200MB a second.")
JSON: Final = Option("--json", "prints JSON, for programs.", into="is_json", faces=CLI)
DETACH: Final = Option("--detach", "returns at once; the job goes on in a process of its own.")
OF_DATASETS: Final = "NAME may be that of a data set in the cache, as list --datasets shows it: ms:owner/name."
AT_ONCE: Final = Option("--at-once", "waits for no other job on the same GPU.")
COMMON: Final = (
    Option("--hub", "asks that hub first (USE_MODELSCOPE).", "HUB", "text", choices=HUBS),
    Option("--cache-dir", "says where models are kept (MODEL_CACHE_DIR).", "DIR", "text"),
    Option("--offline", "asks no hub (QWEN3FT_OFFLINE)."),
)
"""What every verb takes."""

VERBS: Final[tuple[Verb, ...]] = (
    Verb("status", "Says which hub and which cache are used, and why.", options=(JSON,)),
    Verb("models", "Lists the Qwen3 models, what each needs, and what is cached.", options=(JSON,)),
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
    Verb(
        "finetune",
        "Fine-tunes a model as a job, and follows it.",
        (Argument("CONFIG.yaml", "config", optional_in=MAGIC, group="what"),),
        (
            Option(
                "--schema", "prints the JSON Schema of CONFIG.yaml, for editors and programs.", group="what", faces=CLI
            ),
            Option(
                "--from-run",
                "repeats a fine-tune from its record: same config, data and model.",
                "RUN",
                "text",
                group="what",
            ),
            Option("--dry-run", "only shows what it would be: data, steps, memory, disk, time, and what would fit."),
            Option("--json", "prints the dry run as JSON, for programs.", into="is_json", faces=CLI),
            AT_ONCE,
            DETACH,
        ),
        (
            "%%qwen3ft finetune takes the YAML in the cell; a value $name stands for the variable of that name.",
            "Such a variable may hold a number, a path or a list; for data also a DataFrame or a list of dicts.",
            "RUN is the job id or output folder of a fine-tune; what differs is named before anything starts.",
            "In a notebook without CONFIG.yaml and without a cell: a form.",
        ),
        takes_cell=True,
        panel=Message("Fine-tune"),
    ),
    Verb(
        "preview",
        "Shows the data of a fine-tune as the model will see it.",
        (Argument("CONFIG_OR_DATA", "source", optional_in=MAGIC),),
        (
            Option("--model", "is the model whose tokenizer and chat template write it.", "NAME", "text"),
            Option("--count", "is how many samples are shown in full (default: 3).", "N", "count"),
            JSON,
        ),
        (
            "CONFIG_OR_DATA is the YAML file of a fine-tune, or data alone, which needs --model.",
            "What is learned is marked; the rest is only read. The model must be in the cache.",
            "%%qwen3ft preview takes the YAML in the cell, as %%qwen3ft finetune does.",
        ),
        takes_cell=True,
    ),
    Verb(
        "chat",
        "Asks a model, or the result of a fine-tune.",
        (
            Argument("NAME_OR_RUN", "model_name", "run", optional_in=MAGIC),
            Argument("QUESTION", "question", optional_in=CLI, is_text=True),
        ),
        (Option("--max-new-tokens", "limits the length of the answer.", "N", "count"),),
        (
            "NAME_OR_RUN is a repo id, or the job id or output folder of a fine-tune.",
            "QUESTION is the rest of the line, as it is typed; %%qwen3ft chat NAME takes the cell.",
            "In a notebook without NAME_OR_RUN: a form to ask in.",
            "In a terminal without QUESTION: each line of standard input is a question.",
        ),
        takes_cell=True,
    ),
    Verb(
        "evaluate",
        "Measures and asks a model, or the result of a fine-tune, as a job: loss, scores, answers.",
        (Argument("RUN_OR_MODEL", "run", "run"), Argument("DATA", "data", optional_in=TYPED)),
        (
            Option("--max-length", "limits the tokens of a sample (default: the run's).", "N", "count", faces=ALL),
            replace(AT_ONCE, faces=ALL),
            DETACH,
        ),
        (
            "RUN_OR_MODEL is a fine-tune (job id or folder), a model's folder, or a cached model.",
            "DATA is a file, a folder, or owner/name of a data set on a hub, which is fetched first.",
            "Without DATA the rows that the fine-tune kept out of training are measured.",
            "An adapter is compared with its base model.",
        ),
    ),
    Verb(
        "compare",
        "Sets fine-tunes beside each other: where their configs differ, what each came to.",
        (Argument("RUN", "runs", "tuned", is_many=True),),
        (JSON,),
        ("RUN is the job id or output folder of a fine-tune, finished or not.",),
    ),
    Verb(
        "merge",
        "Merges the adapter of a fine-tune into its base model, as a job, and follows it.",
        (Argument("RUN", "run", "tuned"),),
        (
            Option(
                "--into",
                "names the folder of the merged model (default: that of the run, with -merged after its name).",
                "FOLDER",
                "text",
                into="output_dir",
                faces=ALL,
            ),
            Option(
                "--base",
                "says into which weights: the base's original ones (default); those of another repo of the same model, "
                "owner/name, for a base that is stored in 4 bits; or dequantized: those of 4 bits that a "
                "QLoRA was trained on.",
                "BASE",
                "text",
                choices=("original", "dequantized"),
                takes_others=True,
                faces=ALL,
            ),
            Option("--overwrite", "replaces an earlier merge in that folder.", faces=ALL),
            DETACH,
        ),
        (
            "RUN is the job id or output folder of a fine-tune, or a folder with a LoRA adapter in safetensors.",
            "It is computed in float32, saved in the base's number type, and compared with base and adapter.",
            "The folder loads in transformers, vLLM and SGLang, and by load and chat.",
        ),
    ),
    Verb(
        "export",
        "Hands a model, or the result of a fine-tune, to what serves it, and says how; an adapter is merged before.",
        (Argument("RUN_OR_MODEL", "run", "run"),),
        (
            Option(
                "--to",
                "says what serves it (default: safetensors).",
                "TO",
                "text",
                choices=("safetensors", "vllm", "sglang", "ollama", "gguf"),
                faces=ALL,
            ),
            Option(
                "--into",
                "names the folder of what is made: the merged model, the Modelfile or the GGUF file.",
                "FOLDER",
                "text",
                into="output_dir",
                faces=ALL,
            ),
            Option("--overwrite", "replaces what an earlier merge or export wrote there.", faces=ALL),
            DETACH,
        ),
        (
            "RUN_OR_MODEL is a fine-tune or a merge (job id or folder), a model's folder, or a cached model.",
            "ollama gets a Modelfile; gguf is made by llama.cpp's own converter if that is on the PATH.",
            "In a terminal stdout gets the lines that serve the model.",
        ),
    ),
    Verb(
        "push",
        "Shows what publishing the result of a fine-tune would upload; with --yes, uploads it as a job.",
        (Argument("RUN", "run", "tuned"), Argument("REPO", "repo_id")),
        (
            Option("--public", "lets everybody see it; without, only you.", faces=ALL),
            Option("--yes", "uploads it.", into="confirm", faces=ALL),
            JSON,
            DETACH,
        ),
        (
            "RUN is a fine-tune, a merge or an export (job id or folder), or a folder with a model or an adapter.",
            "REPO is owner/name, with you or an organisation of yours as owner; it is made if it is not there.",
            "It goes to the hub that is asked first: --hub huggingface, --hub modelscope.",
            "Only files of the model go, with a card that the hub reads: no checkpoints, data, logs, or other files.",
        ),
    ),
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
    Verb("jobs forget", "Deletes a job's record and log; its results stay.", (ID,), panel=Message("Forget")),
    Verb(
        "mirror",
        "Serves the cache as a hub, for this machine or others.",
        options=(
            Option("--host", "is the address to listen on (default: 127.0.0.1).", "ADDRESS", "text"),
            Option("--port", "is the port to listen on (default: a free one).", "N", "count"),
            Option("--no-token", "asks for no token, even if other machines can reach the address."),
            Option("--tls", "speaks https, with a certificate that is made for this machine.", group="certificate"),
            Option("--tls-cert", "speaks https with this certificate.", "FILE", "text", group="certificate"),
            Option("--tls-key", "is the key of that certificate, if it is not in the same file.", "FILE", "text"),
        ),
        details=(
            "It runs until it is interrupted; notebooks do not have it because it would keep the kernel busy.",
            "It serves what a download has verified, and names what else lies in the cache or is used in place.",
        ),
        faces=CLI,
    ),
    Verb("practice", "Copies the practice model and its data to a folder.", (Argument("DIR", "folder"),)),
    Verb("help", "Lists the verbs, or explains one.", (Argument("VERB", "verb", "verb", optional_in=TYPED),)),
)
_BY_NAME: Final = {verb.name: verb for verb in VERBS}
SPELLINGS: Final = {spelled: verb for verb in VERBS for spelled in (verb.name, *verb.aliases)}
"""Every way to write a verb."""


def find(name: str) -> Verb:
    """Return the verb of this name, which is none of its aliases. Raises KeyError."""
    return _BY_NAME[name]


def verbs_of(face: Face) -> list[Verb]:
    """Return the verbs that people can type in a face."""
    return [verb for verb in VERBS if face in verb.faces]


def rest_options(name: str) -> Iterator[tuple[str, Kind]]:
    """Yield name and kind of the fields that the verb's options are in a request."""
    for option in find(name).options_in("rest"):
        yield option.field, option.kind


def write_command(*words: str, face: Face = "magic") -> str:
    """Return a command in the grammar of a face; a verb that the face lacks is written for one that has it.

    >>> [write_command("repair", "a/b", face=face) for face in ("cli", "magic", "panel")]
    ['qwen3ft repair a/b', '%qwen3ft repair a/b', 'Repair a/b']

    Raises:
        KeyError: the words begin with no verb.
    """
    parts = " ".join(words[:1]).split() + list(words[1:])
    count = 2 if " ".join(parts[:2]) in _BY_NAME else 1
    verb, arguments = _BY_NAME[" ".join(parts[:count])], parts[count:]
    if face == "panel" and verb.panel and verb.panel.count("{") <= len(arguments):
        return as_message(verb.panel, {"name": arguments[0]} if arguments else {})
    typed: Face = "cli" if face == "cli" else "magic"
    if typed not in verb.faces:
        typed = "magic" if typed == "cli" else "cli"
    program = PROGRAM if typed == "cli" else f"%{PROGRAM}"
    return " ".join([program, verb.name, *map(_quoted, arguments)])


def grammar(face: Face) -> Grammar:
    """Return how a face writes the commands of messages."""

    def write(command: Command) -> str:
        return write_command(*command.words, face=face)

    return write


def speaker_of(face: Face) -> Speaker:
    """Return who speaks to the person in front of this process."""
    return Speaker(reader(), grammar(face))


def _quoted(word: str) -> str:
    """Return a word that a shell and a magic take as one."""
    return f'"{word}"' if any(character.isspace() for character in word) else word
