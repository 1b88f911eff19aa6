"""What a row of the table of verbs is made of, and the arguments and options that several verbs have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from qwen3ft_jupyter.download.request import Wanted

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

        >>> from qwen3ft_jupyter.faces.verbs import find
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
        if not entry.is_many:
            return entry.metavar
        return f"{entry.metavar} …" if entry.optional_in else f"{entry.metavar} {entry.metavar} …"
    value = "|".join(entry.only) or entry.metavar
    return f"{entry.flag} {value}" if value else entry.flag


JSON: Final = Option("--json", "prints JSON, for programs.", into="is_json", faces=CLI)
DETACH: Final = Option("--detach", "returns at once; the job goes on in a process of its own.")
COMMON: Final = (
    Option("--hub", "asks that hub first (USE_MODELSCOPE).", "HUB", "text", choices=HUBS),
    Option("--cache-dir", "says where models are kept (MODEL_CACHE_DIR).", "DIR", "text"),
    Option("--offline", "asks no hub (QWEN3FT_OFFLINE)."),
)
"""What every verb takes."""
