"""Sentences for people: what an error, a hint, a notice, a word of progress is, before it is said in a language.

A `Message` is an English template with the values to fill in. It is stored like that, and becomes a sentence at the
edge: a face calls `render` with its reader's language and with the grammar in which it writes commands. Wherever else
it goes (a log, a traceback, a comparison in a test) it is its English text. There is one catalogue for Python and for
TypeScript, a gettext ``.po``; `scripts/catalogue.py` keeps it.
"""

from __future__ import annotations

import functools
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from gettext import NullTranslations

    from typing_extensions import Self

Language = Literal["en", "zh"]

VARIABLES: Final = ("QWEN3FT_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides, as in gettext; after the first of them the language that JupyterLab is set to."""

LOCALE: Final = Path(__file__).parent / "locale"
_SPEC: Final = re.compile(r"[,.\dfg]{0,3}")
"""How a number is written, for example ``,``."""


_LOGIN: Final = re.compile(r"(?<=[a-z0-9][a-z0-9+]:/)(/?)(?![^\s/@'\"]*:\*{3}@)[^\s/@'\"]+@", re.IGNORECASE)
_KEY: Final = re.compile(r"([?&][\w.-]*(?:token|key|secret|password|signature|sig)=)[^\s&#'\"]+", re.IGNORECASE)


def conceal(text: str) -> str:
    """Return a text in which addresses have no login and no key.

    >>> conceal("https://me:secret@host/a@b?x=1&access_token=secret"), conceal("C:/me@work/x"), conceal("a@b")
    ('https://***@host/a@b?x=1&access_token=***', 'C:/me@work/x', 'a@b')
    >>> conceal("http://me:***@proxy")
    'http://me:***@proxy'
    """
    if ":/" not in text and "=" not in text:
        return text
    return _KEY.sub(r"\1***", _LOGIN.sub(r"\1***@", text))


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes, said in decimal units."""

    bytes: float | None

    def to_json(self) -> Any:
        """Return its form in JSON."""
        return {"bytes": self.bytes}

    def __str__(self) -> str:
        return size(self.bytes)


@dataclass(frozen=True, slots=True, init=False)
class Names:
    """A list that stays short: of more than three names, the first three and how many follow."""

    names: tuple[str, ...]

    def __init__(self, names: Any) -> None:  # any iterable of str
        object.__setattr__(self, "names", tuple(conceal(str(name)) for name in names))

    def as_message(self) -> str:
        """Return the sentence, or the plain list if nothing is left out."""
        shown = ", ".join(self.names[:3])
        more = len(self.names) - 3
        return Message("{names} and {count} more", names=shown, count=more) if more > 0 else shown

    def to_json(self) -> Any:
        """Return its form in JSON."""
        return {"names": list(self.names)}

    def __str__(self) -> str:
        return str(self.as_message())


@dataclass(frozen=True, slots=True, init=False)
class Texts:
    """Several messages in a row.

    >>> str(Texts([Message("{size} free", size=Size(5)), "none"]))
    '5 B free; none'
    """

    parts: tuple[str, ...]
    separator: str

    def __init__(self, parts: Iterable[str], separator: str = "; ") -> None:
        object.__setattr__(self, "parts", tuple(parts))
        object.__setattr__(self, "separator", separator)

    def to_json(self) -> Any:
        """Return its form in JSON."""
        return {"texts": [to_json(part) for part in self.parts], "separator": self.separator}

    def __str__(self) -> str:
        return self.separator.join(self.parts)


@dataclass(frozen=True, slots=True, init=False)
class Command:
    """A command a person may give: a verb of `faces.verbs` and its words. Each face writes it in its own grammar."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def to_json(self) -> Any:
        """Return its form in JSON."""
        return {"command": list(self.words)}

    def __str__(self) -> str:
        return write_magic(self)


Value = object
"""What a placeholder stands for: a `Message`, a number or one of the classes above; all else is taken as text."""

Grammar = Callable[[Command], str]
"""How a face writes a command. What it writes may be a `Message`, too: the label of a button has translations."""


class Message(str):
    """An English sentence that remembers its template and values, so that a face can say it in another language.

    >>> full = Message("{needed} are needed, {free} are free.", needed=Size(2_000_000), free=Size(999))
    >>> full
    '2.0 MB are needed, 999 B are free.'
    >>> render(Message("{time} left", time=duration(9)), "zh")
    '剩余 9.0 s'
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, Value]

    def __new__(cls, template: str, /, **values: Value) -> Self:
        """Return the English sentence; `values` fill the template's places."""
        values = {name: conceal(value) if type(value) is str else value for name, value in values.items()}
        message = super().__new__(cls, _fill(template, values, "en", write_magic))
        message.template = template
        message.values = values
        return message

    def __reduce__(self) -> tuple[object, ...]:
        return (functools.partial(Message, self.template, **self.values), ())


def as_message(text: str, values: Mapping[str, Value]) -> str:
    """Return `text` with those of the `values` it has places for; as it is where it has none."""
    used = {name: value for name, value in values.items() if "{" + name in text}
    return Message(str(text), **used) if used else text


def render(text: str, language: Language = "en", grammar: Grammar | None = None) -> str:
    """Return a message as a sentence. A text that is no `Message` is looked up as it is.

    Args:
        text: A message, or a fixed text.
        language: The reader's; English where the catalogue lacks the text.
        grammar: How the face writes a command; as a magic if left out.
    """
    grammar = grammar or write_magic
    if isinstance(text, Message):
        return _fill(translate(text.template, language), text.values, language, grammar)
    return translate(text, language)


def write_magic(command: Command) -> str:
    """Return a command as a notebook's cell takes it."""
    return " ".join(("%qwen3ft", *command.words))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who says messages to a reader: a language, and the grammar of a face.

    >>> Speaker("zh").say("The cache is empty.")
    '缓存为空。'
    """

    language: Language = "en"
    grammar: Grammar = write_magic

    def say(self, text: str) -> str:
        """Return a message as a sentence."""
        return render(text, self.language, self.grammar)

    def say_within(self, data: Any) -> Any:
        """Return JSON data with the messages in it said; other texts are names, and stay."""
        return map_texts(lambda text: self.say(text) if isinstance(text, Message) else text, data)

    def say_alone(self, word: str) -> str:
        """Return a word that stands by itself: it begins with a capital.

        >>> Speaker().say_alone("running")
        'Running'
        """
        said = self.say(word)
        return said[:1].upper() + said[1:]


def translate(text: str, language: Language) -> str:
    """Return a template or fixed text in a language, or as it is if the catalogue lacks it."""
    return text if language == "en" or not text else _catalogue(language).gettext(text)


def tr(text: str, /, **values: Value) -> str:
    """Return `text`, with `values` filled in, in the language of this process. The English text is the key."""
    if values:
        return render(Message(text, **values), reader())
    return render(text, reader())


def reader(environ: Mapping[str, str] | None = None) -> Language:
    """Return the language for people who read what this process writes.

    >>> reader({"LANG": "zh_CN.UTF-8"}), reader({"LANG": "zh_CN.UTF-8", "QWEN3FT_LANG": "en"}), reader({})
    ('zh', 'en', 'en')
    """
    environ = os.environ if environ is None else environ
    own, *others = (environ.get(variable, "") for variable in VARIABLES)
    files = "" if own else environ.get("QWEN3FT_LAB_SETTINGS", "")
    if files:
        from qwen3ft_jupyter.lab_language import locale_of_lab  # only below a server

        own = locale_of_lab(files)
    return as_language(next(filter(None, (own, *others)), ""))


def as_language(name: str) -> Language:
    """Return the language that a locale's name or an ``Accept-Language`` header asks for first.

    >>> as_language("zh-CN,zh;q=0.9,en;q=0.8"), as_language("de"), as_language("zh_TW.UTF-8")
    ('zh', 'en', 'zh')
    """
    return "zh" if name.strip().lower().startswith("zh") else "en"


def to_json(text: str) -> Any:
    """Return what JSON can hold of a message: a fixed text as it is, else its template and values.

    >>> to_json(Message("{size} free", size=Size(5)))
    {'template': '{size} free', 'values': {'size': {'bytes': 5}}}
    """
    if not isinstance(text, Message):
        return text
    return {"template": text.template, "values": {name: _value_to_json(value) for name, value in text.values.items()}}


def from_json(data: Any) -> str:
    """Rebuild from `to_json`; anything else, written by another version, becomes a text that names it.

    >>> from_json({"template": "{size} free", "values": {"size": {"bytes": 5}}})
    '5 B free'
    """
    if isinstance(data, Mapping) and isinstance(data.get("template"), str):
        values = data.get("values")
        named = values.items() if isinstance(values, Mapping) else ()
        if not _is_plain(data["template"]):
            return str(data["template"])
        try:
            return Message(data["template"], **{str(name): _value_from_json(value) for name, value in named})
        except (LookupError, ValueError, TypeError, AttributeError, RecursionError):  # its values do not fill it
            return str(data["template"])
    return data if isinstance(data, str) else "" if data is None else str(data)


def map_texts(change: Callable[[str], Any], data: Any) -> Any:
    """Return JSON data with each text in it changed, but for the keys.

    >>> map_texts(to_json, {"a/b": [Message("{size} free", size=Size(5))]})
    {'a/b': [{'template': '{size} free', 'values': {'size': {'bytes': 5}}}]}
    """
    if isinstance(data, str):
        return change(data)
    if isinstance(data, Mapping):
        return {key: map_texts(change, value) for key, value in data.items()}
    return [map_texts(change, each) for each in data] if isinstance(data, (list, tuple)) else data


def with_messages(data: Any) -> Any:
    """Return JSON data with the messages in it that `to_json` wrote there.

    >>> with_messages({"a/b": [{"template": "{size} free", "values": {"size": {"bytes": 5}}}]})
    {'a/b': ['5 B free']}
    """
    if isinstance(data, Mapping):
        is_message = data.keys() == {"template", "values"}
        return from_json(data) if is_message else {key: with_messages(value) for key, value in data.items()}
    return [with_messages(each) for each in data] if isinstance(data, list) else data


def _is_plain(template: str) -> bool:
    """Return whether places are names: what others wrote must not read attributes of ours, nor fill a line of a GB."""
    try:
        places = [(name, spec or "") for _, name, spec, _ in Formatter().parse(template) if name is not None]
    except ValueError:
        return False
    return all(name.isidentifier() and _SPEC.fullmatch(spec) for name, spec in places)


def _value_to_json(value: Value) -> Any:
    if isinstance(value, (Size, Names, Texts, Command)):
        return value.to_json()
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return to_json(value) if isinstance(value, str) else conceal(str(value))


def _value_from_json(data: Any) -> Value:
    value: Value = data
    match data:
        case {"bytes": number}:
            value = Size(number)
        case {"names": [*names]}:
            value = Names(names)
        case {"texts": [*parts], "separator": str(separator)}:
            value = Texts(map(from_json, parts), separator)
        case {"command": [*words]}:
            value = Command(*map(str, words))
        case bool() | int() | float() | None:
            pass
        case _:
            value = from_json(data)
    return value


def _fill(template: str, values: Mapping[str, Value], language: Language, grammar: Grammar) -> str:
    if not values:
        return template
    return template.format_map({name: _said(value, language, grammar) for name, value in values.items()})


def _said(value: Value, language: Language, grammar: Grammar) -> str | int | float:
    if isinstance(value, Names):
        value = value.as_message()
    if isinstance(value, Message):
        return render(value, language, grammar)
    if isinstance(value, Texts):
        return _join([render(part, language, grammar) for part in value.parts], _separator(value.separator, language))
    if isinstance(value, Command):
        return render(grammar(value), language, grammar)
    if isinstance(value, str) and language != "en":
        from qwen3ft_jupyter.reasons import REASONS  # what an `OSError` has for a text comes as it is

        return translate(value, language) if value in REASONS else value
    return value if isinstance(value, (str, int, float)) else "" if value is None else conceal(str(value))


_FULL_WIDTH: Final = ("。", "！", "？", "；", "：", "，", "、")
"""Punctuation of Chinese, which has its space within it."""


def _separator(written: str, language: Language) -> str:
    """Return what stands between texts in a language.

    >>> _separator("; ", "zh"), _separator("; ", "en"), _separator(" ", "zh")
    ('；', '; ', ' ')
    """
    return "；" if written == "; " and language == "zh" else written


def _join(parts: Sequence[str], separator: str) -> str:
    """Return texts in a row.

    >>> _join(["第一句。", "第二句。"], " "), _join(["One.", "Two."], " ")
    ('第一句。第二句。', 'One. Two.')
    """
    if separator != " ":
        return separator.join(parts)
    said = [part for part in parts if part]
    return "".join(part if part.endswith(_FULL_WIDTH) else f"{part} " for part in said).rstrip(" ")


@functools.cache
def _catalogue(language: Language) -> NullTranslations:
    import gettext  # an English reader needs none

    return gettext.translation(
        "qwen3ft_jupyter", LOCALE, languages=[{"zh": "zh_CN"}.get(language, language)], fallback=True
    )


def size(number: float | None) -> str:
    """Return bytes in decimal units, as disks and hubs count.

    >>> size(0), size(999), size(1_503_300_328), size(None)
    ('0 B', '999 B', '1.5 GB', '')
    """
    if number is None:
        return ""
    value, units = float(number), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.1f} {units[0]}" if units[0] != "B" and value < 99.95 else f"{value:.0f} {units[0]}"


def duration(seconds: float | None) -> str:
    """Return a span of time.

    >>> duration(0.4), duration(75), duration(3 * 3600 + 120), duration(None)
    ('0.4 s', '1 min 15 s', '3 h 2 min', '')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(unix_s: float | None) -> str:
    """Return a point in time on this machine's clock, to the minute."""
    return "" if unix_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))
