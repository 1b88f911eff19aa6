"""What the pages for users say can be done: each link leads somewhere, each command, snippet and setting is right."""

from __future__ import annotations

import ast
import re
import shlex
from typing import TYPE_CHECKING, Any

import polib
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.faces.parsing import match_verb, parse, parse_text, split_line
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.names import SAME
from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml
from qwen3ft_jupyter.messages import LOCALE
from qwen3ft_jupyter.server.app import Qwen3FTApp
from qwen3ft_jupyter.settings.declared import SETTINGS
from tests.test_docs import DOCS, GUIDES, PAGES, ROOT, links, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.faces.verbs import Face

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:\w+ = |RUN |(?:[A-Z_0-9]+=\S+ )+)?(%{0,2})qwen3ft (.+)$", re.DOTALL)
_VARIABLE = re.compile(r"\b(?:QWEN3FT|MODEL_CACHE|MODELSCOPE|HF|USE)_[A-Z_]*[A-Z]\b")
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks/sources").glob("*.md"))
"""Of notebooks: what they run the tests run, what they say they do not."""
CATALOGUE = polib.pofile(str(LOCALE / "zh_CN/LC_MESSAGES/qwen3ft_jupyter.po"))


def blocks(text: str, *languages: str) -> list[str]:
    """Return the blocks of code that are marked with one of the languages."""
    return [match[3] for match in _FENCE.finditer(text) if match[2] in languages]


def commands(text: str) -> Iterator[tuple[Face, str]]:
    """Yield what a page tells people to type, without the program's name: in blocks, and in a line of text."""
    lines = [line for block in blocks(text, "bash", "python", "yaml", "dockerfile") for line in block.splitlines()]
    inline = re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))
    for line in (*lines, *inline):
        # A question is the rest of a magic's line, a comment as well.
        typed = line.strip() if "%qwen3ft chat" in line else re.split(r"\s+#\s| > ", line.strip())[0]
        match = _COMMAND.match(typed)
        if match and "VERB" not in match[2] and "…" not in match[2]:
            yield ("magic" if match[1] else "cli"), match[2]


def check_command(face: Face, line: str) -> None:
    """Read a line as the face does. Raises WrongLine if it is not in the grammar."""
    words = shlex.split(line) if face == "cli" else split_line(line)
    verb, spelled = match_verb(words, face)
    rest = words[len(spelled.split()) :]
    if face == "magic" and any(argument.is_text for argument in verb.arguments):
        _, question = parse_text(verb, line.partition(spelled)[2])
        assert "#" not in question, f"a comment is part of the question: {question}"
    elif "--help" not in rest:
        parse(verb, rest, face, spelled)


@pytest.mark.parametrize("doc", [*GUIDES, *SOURCES])
def test_every_command_can_be_typed(doc: str) -> None:
    for face, line in commands(read(doc)):
        check_command(face, line)


def test_commands_are_found_and_a_wrong_one_is_noticed() -> None:
    found = [command for doc in GUIDES for command in commands(read(doc))]

    assert len(found) > 100
    assert {face for face, _ in found} == {"cli", "magic"}
    for wrong in ("fetch NAME", "download NAME --dry", "jobs limit ID"):
        with pytest.raises(Exception, match=r"usage|There is no|no .*--dry"):
            check_command("cli", wrong)


@pytest.mark.parametrize("doc", GUIDES)
def test_every_snippet_of_python_compiles(doc: str) -> None:
    transform = TransformerManager().transform_cell  # type: ignore[no-untyped-call]  # IPython has no types here
    for block in blocks(read(doc), "python"):
        ast.parse(transform(block))


@pytest.mark.parametrize("doc", GUIDES)
def test_every_config_is_one(doc: str) -> None:
    """Or a part of one: a field that it leaves out is no mistake, a wrong one is."""
    for block in blocks(read(doc), "yaml"):
        text = "\n".join(line for line in block.splitlines() if not line.startswith(("%%", "# yaml-language")))
        written: dict[str, Any] = parse_yaml(text)
        given = {SAME.get(name, name) for name in written}
        written |= {name: "a/b" for name in ("model", "data") if name not in given}
        try:
            FineTuneConfig.from_dict(written)
        except BadConfig as error:
            pytest.fail(f"{doc}: {error}")


@pytest.mark.parametrize("doc", DOCS)
def test_every_link_leads_somewhere(doc: str) -> None:
    """Also within a page: to a heading as GitHub names it."""
    for target in links(read(doc)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / doc).parent / path if path else ROOT / doc
        assert file.exists(), f"{doc} links {target}"
        if anchor:
            assert anchor in anchors(file.read_text("utf-8")), f"{doc} links {target}"


def anchors(text: str) -> set[str]:
    """Return what GitHub calls the headings of a page.

    >>> anchors("# Did it learn, did it forget?")
    {'did-it-learn-did-it-forget'}
    """
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("doc", GUIDES)
def test_every_setting_that_is_named_exists(doc: str) -> None:
    text = read(doc)
    known = {name for setting in SETTINGS for name in (setting.variable, *setting.aliases)}
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "qwen3ft_jupyter").rglob("*.py"))

    for name in set(_VARIABLE.findall(text)) - known:
        assert f'"{name}"' in source or name in source, f"{doc} names {name}"
    for name in re.findall(r"\bc\.Qwen3FTApp\.(\w+)", text):
        assert name in Qwen3FTApp.class_trait_names(), f"{doc} names {name}"


@pytest.mark.parametrize(("doc", "is_chinese"), [("troubleshooting.md", False), ("troubleshooting.zh-CN.md", True)])
def test_every_message_is_one_of_ours(doc: str, is_chinese: bool) -> None:  # noqa: FBT001 - pytest gives it
    """In the words of the catalogue, with something in each of its places."""
    texts = [entry.msgstr if is_chinese else entry.msgid for entry in CATALOGUE if not entry.obsolete]
    places = re.compile(r"\\\{\w+(?:\\?![rs])?(?::[^}]*)?\\\}|%\d")
    patterns = [re.compile(places.sub("(?:.+)", re.escape(text))) for text in texts if re.search(r"\w{2}", text)]
    shown = re.findall(r"^> (.+)$", read(f"docs/{doc}"), re.MULTILINE)

    assert len(shown) > 30
    for message in shown:
        fitting = [pattern.pattern for pattern in patterns if pattern.fullmatch(message)]
        assert [one for one in fitting if len(one.replace("(?:.+)", "")) > 6], f"{doc}: {message}"


@pytest.mark.parametrize("doc", PAGES)
def test_a_page_has_the_same_parts_in_each_language(doc: str) -> None:
    """Headings of the same levels, the same commands, configs and error codes."""
    chinese, english = read(doc), read(doc.replace(".zh-CN", ""))

    def levels(text: str) -> list[str]:
        return re.findall(r"^(#+) ", _FENCE.sub("", text), re.MULTILINE)

    def configs(text: str) -> list[Any]:
        cells = ("\n".join(line for line in one.splitlines() if line[:2] != "%%") for one in blocks(text, "yaml"))
        return [yaml.safe_load(cell) for cell in cells]

    assert levels(chinese) == levels(english)
    assert configs(chinese) == configs(english)
    assert [words.split()[0] for _, words in block_commands(chinese)] == [
        words.split()[0] for _, words in block_commands(english)
    ]


def block_commands(text: str) -> list[tuple[Face, str]]:
    """Return the commands of the blocks of a page."""
    return list(commands("\n".join(match[0] for match in _FENCE.finditer(text))))
