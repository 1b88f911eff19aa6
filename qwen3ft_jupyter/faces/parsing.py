"""Lines that people type, read by the table of verbs: which verb is meant, and what is given with it."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, NoReturn

from qwen3ft_jupyter.faces.refusals import WrongLine, did_you_mean, explain
from qwen3ft_jupyter.faces.verbs import COMMON, PROGRAM, SPELLINGS, Argument, verbs_of
from qwen3ft_jupyter.messages import tr

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Sequence

    from qwen3ft_jupyter.faces.verbs import Face, Kind, Option, Verb

_WORD = re.compile(r"""\s*("[^"]*"|'[^']*'|\S+)""")
_QUOTED = re.compile(r"""\s*(["'])((?:(?!\1).)*)\1\s*(?:#.*)?""", re.DOTALL)
_TEXT = "\0"
"""Before a word that is no option; no word of a command line can hold it."""
_AT_END = re.compile(r"(?<!\S)(--[\w-]+)[ =](\S+)\s*$")


def program(face: Face) -> str:
    """Return what a line begins with."""
    return PROGRAM if face == "cli" else f"%{PROGRAM}"


def match_verb(words: Sequence[str], face: Face) -> tuple[Verb, str]:
    """Return the verb a line begins with, and how it is spelled there.

    >>> verb, spelled = match_verb(["cache", "verify", "a/b"], "magic")
    >>> verb.name, spelled
    ('verify', 'cache verify')

    Raises:
        WrongLine: there is none; the nearest is named.
    """
    for count in (2, 1):
        spelled = " ".join(words[:count])
        verb = SPELLINGS.get(spelled)
        if verb is None or (count == 2 and " " not in spelled):
            continue
        if count == 1:
            _check_second(words, spelled, verb)
        if face not in verb.faces:
            command = f"{PROGRAM} {verb.usage('cli')}"
            raise WrongLine(tr("{verb} is a command of the terminal: {command}", verb=verb.name, command=command))
        return verb, spelled
    raise WrongLine(_unknown(words[0] if words else "", face))


def _check_second(words: Sequence[str], first: str, verb: Verb) -> None:
    """Refuse a second word that is neither an option nor an argument nor a verb. Raises WrongLine."""
    seconds = second_words(first)
    if not seconds or len(words) < 2 or words[1].startswith("-"):
        return
    meant = did_you_mean(words[1], seconds, before=f"{first} ")
    if meant or not verb.arguments:  # else the word may be one
        said = tr("There is no {name}: choose from {names}.", name=f"{first} {words[1]}", names=", ".join(seconds))
        raise WrongLine(f"{said} {meant}".strip())


def second_words(first: str) -> list[str]:
    """Return what makes a verb of two words with `first`."""
    return [spelled.partition(" ")[2] for spelled in SPELLINGS if spelled.startswith(f"{first} ")]


def _unknown(name: str, face: Face) -> str:
    names = [verb.name for verb in verbs_of(face)]
    there_is_none = tr("There is no {name}.", name=f"{program(face)} {name}")
    parts = [there_is_none, did_you_mean(name, [*names, *SPELLINGS]), tr("The verbs: {names}.", names=", ".join(names))]
    return " ".join(filter(None, parts))


def parse(verb: Verb, words: Sequence[str], face: Face, spelled: str = "") -> Namespace:
    """Return what is given after a verb, by field.

    Raises:
        WrongLine: it is not in the verb's grammar.
        BadInput: a speed is none, or a revision.
    """
    _refuse_options_of_others(verb, words, face, spelled)
    parser = make_parser(verb, face, spelled)
    has_text = any(argument.is_text for argument in verb.arguments) and face == "cli"
    given = _parse_with_text(parser, words) if has_text else parser.parse_args(words)
    if getattr(given, "is_all", False):
        _refuse_options_of_one(verb, given, _usage(verb, face, spelled))
    _read_model(verb, given)
    return given


def _refuse_options_of_others(verb: Verb, words: Sequence[str], face: Face, spelled: str) -> None:
    """Raise WrongLine for an option that only the terminal, or only a notebook, has: a job may have said the line."""
    own = {option.flag for option in verb.options_in(face)}
    other: Face = "magic" if face == "cli" else "cli"
    theirs = {option.flag for option in verb.options_in(other)} - own
    for word in words:
        if (flag := word.partition("=")[0]) in theirs:
            text = (
                tr("{option} is an option of the terminal alone.", option=flag)
                if other == "cli"
                else tr("{option} is an option of notebooks alone.", option=flag)
            )
            raise WrongLine(text, _usage(verb, other, spelled))


def _parse_with_text(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Return what is given with words of free text among options: what holds a space is text, also after a dash."""
    flags = {option.flag for option in COMMON if option.kind != "flag"}
    marked = [
        f"{_TEXT}{word}" if word.startswith("-") and " " in word and word.partition("=")[0] not in flags else word
        for word in words
    ]
    given = parser.parse_intermixed_args(marked)
    given.question = [word.removeprefix(_TEXT) for word in given.question]
    return given


def _read_model(verb: Verb, given: Namespace) -> None:
    """Read the name of a model, which may be an address and say which revision; what is none is for the manager.

    Raises:
        BadInput: no revision can be called so, or two are given.
    """
    is_model = any(argument.field == "model_name" and argument.completes == "model" for argument in verb.arguments)
    if not is_model or given.model_name is None or getattr(given, "owner", None) == "folder":  # that may be a path
        return
    from qwen3ft_jupyter.errors import BadName
    from qwen3ft_jupyter.hubs.spelling import parse_model

    with contextlib.suppress(BadName):
        given.model_name, given.revision = parse_model(given.model_name, given.revision)


def _refuse_options_of_one(verb: Verb, given: Namespace, usage: str) -> None:
    """Refuse options about one model where all are meant. Raises WrongLine."""
    others = [option for option in verb.options if option.field != "is_all"]
    if any(getattr(given, option.field) for option in others):
        first, second, *more = [option.flag for option in others]
        message = tr(
            "{first} and {second} go with the NAME of a model, not with --all; so does {more}.",
            first=first,
            second=second,
            more=", ".join(more),
        )
        raise WrongLine(message, usage, is_value=True)


def parse_text(verb: Verb, rest: str, *, fill_in: Callable[[str], str] = str) -> tuple[Namespace, str]:
    """Return what a line of free text gives: options before it and at its very end, and the text as it was typed.

    Args:
        verb: what the line asks for.
        rest: the line after the verb.
        fill_in: what replaces variables in the words that are not of the text.

    >>> from qwen3ft_jupyter.faces.verbs import find
    >>> given, text = parse_text(find("chat"), "runs/first --max-new-tokens 9 What's your name?")
    >>> given.model_name, given.max_new_tokens, text
    ('runs/first', 9, "What's your name?")

    Raises:
        WrongLine: the options are not in the verb's grammar.
    """
    options = (*verb.options, *COMMON)
    words, rest = _split_end(rest, verb.options)
    before, text = _split_text(rest, options)
    quoted = _QUOTED.fullmatch(text)
    given = parse(verb, [fill_in(word) for word in (*words, *before)], "magic")
    return given, quoted[2] if quoted else text.strip()


def _split_end(rest: str, own: Sequence[Option]) -> tuple[list[str], str]:
    """Return the options at the very end with their values, and what stands before them.

    An option that every verb takes may as well be of the text, which asks what --hub means: without a value that it
    accepts it is no option.
    """
    valued = {option.flag: option for option in (*COMMON, *own) if option.kind != "flag"}
    words: list[str] = []
    while (match := _AT_END.search(rest)) and (option := valued.get(match[1])):
        before = rest[: match.start()]
        if not (option in own or match[2] in option.choices or before.rstrip().endswith(('"', "'"))):
            break
        words, rest = [match[1], match[2], *words], before
    return words, rest


def _split_text(rest: str, options: Sequence[Option]) -> tuple[list[str], str]:
    """Return the options and the one name that come before free text, and the text."""
    flags = {option.flag for option in options}
    valued = {option.flag for option in options if option.kind != "flag"}
    words: list[str] = []
    is_named = False
    while match := _WORD.match(rest):
        word = match[1]
        if word.partition("=")[0] not in flags:
            if is_named:
                break
            is_named = True
            word = word.strip(word[0]) if word[0] in "\"'" else word
        words.append(word)
        rest = rest[match.end() :]
        if word in valued and (match := _WORD.match(rest)):
            words.append(match[1])
            rest = rest[match.end() :]
    return words, rest


def make_parser(verb: Verb, face: Face, spelled: str = "") -> ArgumentParser:
    """Return the parser of what follows a verb. A wrong line raises WrongLine."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            flags = [option.flag for option in (*verb.options_in(face), *COMMON)]
            raise WrongLine(explain(message, flags), _usage(verb, face, spelled))

    parser = Parser(prog=f"{program(face)} {spelled or verb.name}", add_help=False, allow_abbrev=False)
    groups: dict[str, Any] = {}  # argparse's groups have no public type
    entries: list[Argument | Option] = [*verb.arguments, *verb.options_in(face), *COMMON]
    for entry in entries:
        target: Any = parser
        if entry.group:
            is_needed = any(
                argument.group == entry.group and face not in argument.optional_in for argument in verb.arguments
            )
            target = groups.setdefault(entry.group, None) or parser.add_mutually_exclusive_group(required=is_needed)
            groups[entry.group] = target
        if isinstance(entry, Argument):
            _add_argument(target, entry, face)
        else:
            _add_option(target, entry)
    return parser


def help_on(verb: Verb, face: Face, spelled: str = "") -> str:
    """Return what ``qwen3ft VERB --help`` prints."""
    own = [(_written(option), option.help) for option in verb.options_in(face)]
    common = [(_written(option), option.help) for option in COMMON]
    wide = max(len(name) for name, _ in (*own, *common))
    lines = [_usage(verb, face, spelled), "", tr(verb.summary), *map(tr, verb.details)]
    for title, rows in ((tr("options:"), own), (tr("options of every verb:"), common)):
        lines += ["", title, *(f"  {name:<{wide}}  {tr(text)}" for name, text in rows)] if rows else []
    return "\n".join([*lines, ""])


def _written(option: Option) -> str:
    return f"{option.flag} {'|'.join(option.only) or option.metavar}".strip()


def _add_argument(target: Any, argument: Argument, face: Face) -> None:
    if argument.is_text:
        if face == "cli":
            target.add_argument(argument.field, nargs="*", metavar=argument.metavar)
        return
    if argument.is_many:
        nargs = "*" if face in argument.optional_in else "+"
        target.add_argument(argument.field, nargs=nargs, metavar=argument.metavar)
        return
    is_optional = face in argument.optional_in or argument.group
    target.add_argument(
        argument.field, nargs="?" if is_optional else None, metavar=argument.metavar, type=_reader(argument.kind)
    )


def _add_option(target: Any, option: Option) -> None:
    about: dict[str, Any] = {"dest": option.field}
    if option.kind == "flag":
        action = {"action": "store_const", "const": option.stores} if option.stores else {"action": "store_true"}
        target.add_argument(option.flag, **about, **action)
        return
    target.add_argument(
        option.flag,
        **about,
        type=_reader(option.kind),
        choices=option.only or None,
        metavar=None if option.only else option.metavar,
    )


def _reader(kind: Kind) -> Any:
    """Return what argparse makes a value of this kind with."""
    from qwen3ft_jupyter.faces.views import read_speed, split_sources

    return {"count": int, "speed": read_speed, "list": split_sources}.get(kind, str)


def _usage(verb: Verb, face: Face, spelled: str) -> str:
    return tr("usage: {usage}", usage=f"{program(face)} {verb.usage(face, spelled)}")


def split_line(line: str) -> list[str]:
    r"""Split what follows the magic's name into words.

    Quotes hold words together, ``#`` begins a comment, ``\`` is a letter like any other.

    >>> split_line('load "my runs/first"   # base and adapter')
    ['load', 'my runs/first']

    Raises:
        WrongLine: a quote is left open.
    """
    import shlex

    words = shlex.shlex(line, posix=True)
    words.whitespace_split = True
    words.escape = ""  # a Windows path
    try:
        return list(words)
    except ValueError as error:
        raise WrongLine(tr("A quote is left open: {line}", line=line)) from error
