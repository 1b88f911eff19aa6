"""The catalogue of words: what Python and TypeScript say, and its Chinese.

    python scripts/catalogue.py          add texts that are new, drop those nobody says, compile
    python scripts/catalogue.py --check  say what is missing, unused or not compiled; exit 1 if anything is

Translate what `msgstr ""` is left in `qwen3ft_jupyter/locale/zh_CN/LC_MESSAGES/qwen3ft_jupyter.po`, and run it again.
Python reads the ``.mo``, JupyterLab the ``.json``. What nobody says any more stays at the end of the ``.po`` as
obsolete: a text that comes back, or differs from an old one only in the names of its places, is translated at once.

In Python a text is found where it is written: the first argument and the `hint` of an error, the first argument of
what `SPEAKERS` names. A table of texts holds `Message("…")`; those of the verbs and of
the fields of a fine-tune are read as they are.
"""

from __future__ import annotations

import ast
import json
import re
import string
import sys
from typing import TYPE_CHECKING

import polib

from qwen3ft_jupyter.faces.verbs import COMMON, VERBS
from qwen3ft_jupyter.finetune.config import FineTuneConfig, map_words
from qwen3ft_jupyter.reasons import REASONS
from scripts.making import ROOT, is_checking, stale, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = ROOT / "qwen3ft_jupyter"
FRONT = ROOT / "labextension"
PO = PACKAGE / "locale/zh_CN/LC_MESSAGES/qwen3ft_jupyter.po"

Key = tuple[str, str]
"""Context and English text; the context is empty but for JupyterLab's settings."""

SPEAKERS = {"Message", "tr", "notice", "message"}
"""What takes a text for people as its first argument, beside the errors; the last is that of `jobs.supervisor`."""
MODELS = PACKAGE / "catalog/models.toml"
_SAID_OF_MODELS = re.compile(r'^(?:role|badge|note) = "(.+)"$', re.MULTILINE)
_LITERAL = r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TRANSLATED = re.compile(rf"\btrans\.(?:__|_n)\({_LITERAL}")
_PLURAL = re.compile(rf"\btrans\._n\({_LITERAL},{_LITERAL}")
_JED_PLACEHOLDER = re.compile(r"%\d")
_PLACE = re.compile(r"%\d|{\w+(?:![rsa])?(?::[^{}]*)?}")


def main() -> int:
    """Bring the catalogue up to date, or check it."""
    if is_checking():
        faults = list(find_faults())
        print("\n".join(faults))
        return 1 if faults else 0
    update()
    compile_catalogue()
    return 0


def texts() -> set[Key]:
    """Return every text that the code hands to people."""
    reasons = {("", reason) for reason in REASONS}
    return {*python_texts(), *verb_texts(), *field_texts(), *reasons, *model_texts(), *front_texts(), *setting_texts()}


def python_texts() -> Iterator[Key]:
    """Yield the fixed texts and templates of the package."""
    for _, argument in said_in_python():
        yield from (("", text) for text in _literals(argument))


def said_in_python() -> Iterator[tuple[Path, ast.expr]]:
    """Yield the expressions whose value is for people, each with its file."""
    speakers = SPEAKERS | {node.name for node in _parse(PACKAGE / "errors.py").body if isinstance(node, ast.ClassDef)}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(_parse(path)):
            if isinstance(node, ast.Call) and _name_of(node.func) in speakers:
                yield from ((path, argument) for argument in node.args[:1])
                yield from ((path, keyword.value) for keyword in node.keywords if keyword.arg == "hint")


def verb_texts() -> Iterator[Key]:
    """Yield what the table of verbs says of verbs and options."""
    for verb in VERBS:
        yield from (("", text) for text in (verb.summary, *verb.details))
    for option in (*COMMON, *(option for verb in VERBS for option in verb.options)):
        yield "", option.help


def field_texts() -> Iterator[Key]:
    """Yield what the config of a fine-tune says of its fields."""
    said: set[str] = set()

    def keep(words: str) -> str:
        said.add(words)
        return words

    map_words(keep, FineTuneConfig.json_schema())
    yield from (("", text) for text in said)


def model_texts() -> Iterator[Key]:
    """Yield what the catalogue of models says of them."""
    yield from (("", found[1]) for found in _SAID_OF_MODELS.finditer(MODELS.read_text("utf-8")))


def front_texts() -> Iterator[Key]:
    """Yield the texts of the lab extension, of those with a plural the singular."""
    for found in _in_front(_TRANSLATED):
        yield "", str(ast.literal_eval(found[1]))


def _in_front(pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    for path in sorted((FRONT / "src").rglob("*.ts*")):
        if "__tests__" not in path.parts:
            yield from pattern.finditer(path.read_text("utf-8"))


def setting_texts() -> Iterator[Key]:
    """Yield the texts of JupyterLab's settings, in the contexts under which it looks them up."""
    schema = json.loads((FRONT / "schema/plugin.json").read_text("utf-8"))
    yield from (("schema", schema[name]) for name in ("title", "description"))
    yield "settings", schema.get("jupyter.lab.setting-icon-label", "Qwen3")
    for option in schema["properties"].values():
        yield from (("settings", option[name]) for name in ("title", "description"))


def find_faults() -> Iterator[str]:
    """Yield what is wrong with the catalogue, a line each."""
    catalogue = {_key(entry): chinese_of(entry) for entry in polib.pofile(str(PO)) if not entry.obsolete}
    said = texts()
    yield from (f"not in the catalogue: {text!r}" for _, text in sorted(said - set(catalogue)))
    yield from (f"nobody says: {text!r}" for _, text in sorted(set(catalogue) - said))
    yield from (f"not translated: {text!r}" for (_, text), chinese in catalogue.items() if not chinese)
    yield from (
        f"other placeholders: {text!r}"
        for (_, text), chinese in catalogue.items()
        if chinese and placeholders(text) != placeholders(chinese)
    )
    yield from (f"not compiled: {path.name}" for path in stale(compiled()))


def chinese_of(entry: polib.POEntry) -> str:
    """Return the translation; Chinese has one form for all numbers."""
    return str(entry.msgstr or entry.msgstr_plural.get(0, ""))


def jed_of(entry: polib.POEntry) -> list[str]:
    """Return the translation for JupyterLab, which takes a list of one for a text that has no plural."""
    return [chinese_of(entry)] * (2 if entry.msgid_plural else 1)


def placeholders(text: str) -> set[str]:
    """Return the places for values in a text, of Python's form or of Jed's."""
    found = set(_JED_PLACEHOLDER.findall(text))
    try:
        named = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(text) if name]
    except ValueError:  # a brace alone, in a text without values
        return found
    return found | {f"{name}!{conversion}:{spec}" for name, spec, conversion in named}


def update() -> None:
    """Add the texts that are new to the .po, untranslated, and drop those nobody says."""
    catalogue = polib.pofile(str(PO), wrapwidth=110)
    known = {_key(entry): entry for entry in catalogue}
    said = texts()
    for key, entry in known.items():
        entry.obsolete = int(key not in said)
    alike = {in_order(text)[0]: entry for (_, text), entry in known.items() if chinese_of(entry)}
    plurals = {ast.literal_eval(found[1]): ast.literal_eval(found[2]) for found in _in_front(_PLURAL)}
    for context, text in said - set(known):
        entry = polib.POEntry(msgid=text, msgctxt=context or None)
        if text in plurals:
            entry.msgid_plural, entry.msgstr_plural = plurals[text], {0: ""}
        elif (old := alike.get(in_order(text)[0])) is not None:
            entry.msgstr = with_places_of(text, old)
        catalogue.append(entry)
    catalogue.sort(key=lambda entry: (entry.obsolete, entry.msgid, entry.msgctxt or ""))
    catalogue.save(str(PO))
    said_now = len(catalogue) - len(catalogue.obsolete_entries())
    print(f"{said_now} texts, {len(catalogue.untranslated_entries())} of them to be translated")


def in_order(text: str) -> tuple[str, list[str]]:
    """Return a text with its places numbered from left to right, and the places as they were.

    >>> in_order("{needed} of {free:,}")
    ('%1 of %2', ['{needed}', '{free:,}'])
    """
    places = list(dict.fromkeys(_PLACE.findall(text)))
    return _PLACE.sub(lambda found: f"%{places.index(found[0]) + 1}", text), places


def with_places_of(text: str, old: polib.POEntry) -> str:
    """Return the translation of a text that differs from an old one in the names of its places alone."""
    pairs = dict(zip(in_order(old.msgid)[1], in_order(text)[1], strict=True))
    return _PLACE.sub(lambda found: pairs.get(found[0], found[0]), chinese_of(old))


def _key(entry: polib.POEntry) -> Key:
    return entry.msgctxt or "", entry.msgid


def compile_catalogue() -> None:
    """Write the .mo for Python and the .json for JupyterLab."""
    write(compiled())


def compiled() -> dict[Path, bytes]:
    """Return the content of the compiled files by their path."""
    catalogue = polib.pofile(str(PO))
    front = {*front_texts(), *setting_texts()}
    jed: dict[str, object] = {
        "": {
            "domain": "qwen3ft_jupyter",
            "language": "zh-CN",
            "plural_forms": "nplurals=1; plural=0;",
            "version": "qwen3ft_jupyter",
        }
    }
    for entry in sorted(catalogue.translated_entries(), key=_key):
        if _key(entry) in front:
            jed["\x04".join(filter(None, (entry.msgctxt, entry.msgid)))] = jed_of(entry)
    text = json.dumps(jed, indent=1, ensure_ascii=False) + "\n"
    return {PO.with_suffix(".mo"): catalogue.to_binary(), PO.with_suffix(".json"): text.encode()}


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _name_of(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def _literals(node: ast.expr) -> Iterator[str]:
    """Yield the texts an argument may stand for, as far as they are written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_literals(node.body), *_literals(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _literals(value)


if __name__ == "__main__":
    sys.exit(main())
