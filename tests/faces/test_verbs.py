"""One table of verbs: every face has the same ones, and whatever names a command names one that exists."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import qwen3ft_jupyter
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.errors import BadInput
from qwen3ft_jupyter.faces import verbs
from qwen3ft_jupyter.faces.parsing import match_verb, parse, parse_text
from qwen3ft_jupyter.faces.refusals import WrongLine
from qwen3ft_jupyter.faces.verbs import SPELLINGS, VERBS, find, grammar, rest_options, verbs_of, write_command
from qwen3ft_jupyter.messages import Command, Message, render
from qwen3ft_jupyter.settings.declared import SOURCE_NAMES

if TYPE_CHECKING:
    from qwen3ft_jupyter.faces.verbs import Face

PACKAGE = Path(qwen3ft_jupyter.__file__).parent
WRITERS = {"write_command", "Command"}
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "labextension" not in path.parts)


# The table


def test_what_only_one_typed_face_has_says_why() -> None:
    alone = {verb.name for verb in VERBS if not {"cli", "magic"} <= verb.faces}

    assert alone == {"mirror"}
    assert "notebooks do not have it because it would keep the kernel busy" in " ".join(find("mirror").details)


def test_a_spelling_means_one_verb() -> None:
    assert len(SPELLINGS) == sum(1 + len(verb.aliases) for verb in VERBS)


def test_the_wishes_for_a_download_are_the_fields_of_its_request() -> None:
    wishes = {option.field for option in find("download").options if option.is_wish}

    assert wishes | {"model_name"} == {field.name for field in fields(DownloadRequest)}
    assert wishes <= {name for name, _ in rest_options("download")}


def test_the_sources_that_are_offered_are_those_there_are() -> None:
    assert verbs.SOURCES == SOURCE_NAMES


@pytest.mark.parametrize("face", ["cli", "magic"])
def test_help_texts_are_sentences(face: Face) -> None:
    for verb in verbs_of(face):
        for text in (verb.summary, *verb.details, *(option.help for option in verb.options_in(face))):
            assert text.endswith("."), text


# Commands in the grammar of a face


@pytest.mark.parametrize(
    ("words", "face", "written"),
    [
        (("download", "a/b"), "cli", "qwen3ft download a/b"),
        (("download", "a/b"), "magic", "%qwen3ft download a/b"),
        (("jobs", "resume", "x"), "cli", "qwen3ft jobs resume x"),
        (("jobs resume", "x"), "magic", "%qwen3ft jobs resume x"),
        (("jobs", "x"), "magic", "%qwen3ft jobs x"),
        (("evict", "a/b", "--owner", "folder"), "magic", "%qwen3ft evict a/b --owner folder"),
        (("load", "my runs/first"), "cli", 'qwen3ft load "my runs/first"'),
        (("mirror",), "magic", "qwen3ft mirror"),
        (("repair", "a/b"), "panel", "Repair a/b"),
        (("jobs", "resume", "x"), "panel", "Resume"),
        (("move", "/there"), "panel", "%qwen3ft move /there"),
        (("repair",), "panel", "%qwen3ft repair"),
    ],
)
def test_a_command_is_written_in_the_grammar_of_the_face(words: tuple[str, ...], face: Face, written: str) -> None:
    assert write_command(*words, face=face) == written


def test_a_command_that_is_none_is_an_error() -> None:
    for words in (("frobnicate",), ()):
        with pytest.raises(KeyError):
            write_command(*words)


def test_a_hint_names_a_command_as_its_reader_types_it() -> None:
    hint = Message("Download it: {command}", command=Command("download", "a/b"))

    assert render(hint, "en", grammar("cli")) == "Download it: qwen3ft download a/b"
    assert render(hint, "en", grammar("panel")) == "Download it: Download a/b"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_command_that_is_named_exists(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in WRITERS and node.args:
            first = node.args[0]
            assert not isinstance(first, ast.Constant) or str(first.value).split()[0] in SPELLINGS, ast.unparse(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(r"(?:%|`)qwen3ft ([a-z]+)", node.value):
                assert name in SPELLINGS, node.value


# Lines


@pytest.mark.parametrize(
    ("rest", "name", "tokens", "question"),
    [
        ("a/b who are you?", "a/b", None, "who are you?"),
        ("a/b What's your name", "a/b", None, "What's your name"),
        ('a/b "Who are you?"', "a/b", None, "Who are you?"),
        ('a/b "Who are you?"   # base and adapter', "a/b", None, "Who are you?"),
        ('a/b say "yes" or "no"', "a/b", None, 'say "yes" or "no"'),
        ("a/b what is C#?", "a/b", None, "what is C#?"),
        ("a/b   two  spaces", "a/b", None, "two  spaces"),
        ("a/b is -5 --more than 3?", "a/b", None, "is -5 --more than 3?"),
        ("--max-new-tokens 9 a/b hello", "a/b", 9, "hello"),
        ("a/b --max-new-tokens=9 hello", "a/b", 9, "hello"),
        ("a/b hello --max-new-tokens 9", "a/b", 9, "hello"),
        ("a/b what does --hub mean", "a/b", None, "what does --hub mean"),
        ("a/b see --cache-dir here", "a/b", None, "see --cache-dir here"),
        ("a/b -h is for help", "a/b", None, "-h is for help"),
        ("a/b -- two dashes", "a/b", None, "-- two dashes"),
        ('a/b "Is it?" --cache-dir /data --max-new-tokens 9', "a/b", 9, "Is it?"),
        ('"my runs/first" hello', "my runs/first", None, "hello"),
        ("a/b", "a/b", None, ""),
    ],
)
def test_free_text_is_free(rest: str, name: str, tokens: int | None, question: str) -> None:
    given, text = parse_text(find("chat"), rest)

    assert (given.model_name, given.max_new_tokens, text) == (name, tokens, question)


def test_every_verb_is_parsed_by_both_faces_alike() -> None:
    faces: tuple[Face, ...] = ("cli", "magic")
    for face in faces:
        for verb in verbs_of(face):
            typed = [argument for argument in verb.arguments if not argument.is_text]
            words = ["5MB" if argument.kind == "speed" else "x" for argument in typed]
            given = parse(verb, [*words, "--hub", "huggingface", "--offline"], face)
            assert (given.hub, given.offline) == ("huggingface", True)


def test_a_group_without_its_second_word_is_the_verb_itself() -> None:
    assert [
        match_verb(words, "cli")[0].name for words in (["cache"], ["jobs"], ["jobs", "abcd"], ["cache", "--json"])
    ] == [
        "list",
        "jobs",
        "jobs",
        "list",
    ]
    with pytest.raises(WrongLine, match="choose from"):
        match_verb(["cache", "abcd"], "cli")


@pytest.mark.parametrize("face", ["cli", "magic"])
@pytest.mark.parametrize("verb", ["download", "verify", "repair", "pin", "unpin", "evict"])
def test_a_model_may_be_given_by_its_address_in_every_verb(verb: str, face: Face) -> None:
    given = parse(find(verb), ["https://huggingface.co/a/b/tree/v1"], face)

    assert (given.model_name, given.revision) == ("a/b", "v1")


def test_a_folder_of_another_tool_is_no_address() -> None:
    given = parse(find("evict"), ["hf.co/a/b", "--owner", "folder"], "cli")

    assert given.model_name == "hf.co/a/b"


@pytest.mark.parametrize("face", ["cli", "magic"])
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("jobs stp", "jobs stop"),
        ("jobs stp abcd", "jobs stop"),
        ("jobs resum abcd", "jobs resume"),
        ("jobs limi abcd 5MB", "jobs limit"),
        ("jobs follo abcd", "jobs follow"),
        ("cache evct a/b", "cache evict"),
        ("cache verif a/b", "cache verify"),
        ("downlod a/b", "download"),
        ("stp abcd", "stop"),
        ("finetun x", "finetune"),
    ],
)
def test_a_verb_with_a_slip_of_the_finger_is_answered_by_the_one_that_is_meant(
    line: str, meant: str, face: Face
) -> None:
    with pytest.raises(WrongLine, match=f"Did you mean {meant}[?]"):
        match_verb(line.split(), face)

    assert match_verb([*meant.split(), "abcd"], face)[1] == meant


@pytest.mark.parametrize("face", ["cli", "magic"])
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("download a/b --revison v1", "--revision"),
        ("download a/b --revison=v1", "--revision"),
        ("download a/b --dryrun", "--dry-run"),
        ("download a/b --inplace", "--in-place"),
        ("download a/b --source disk", "--sources"),
        ("download a/b --ofline", "--offline"),
        ("download a/b --cachedir /x", "--cache-dir"),
        ("evict a/b --onwer folder", "--owner"),
        ("load a/b --4bits", "--4bit"),
        ("chat a/b --max-new-token-s 5", "--max-new-tokens"),
    ],
)
def test_an_option_with_a_slip_of_the_finger_is_answered_by_the_one_that_is_meant(
    line: str, meant: str, face: Face
) -> None:
    words = line.split()
    verb = find(words[0])
    try:
        parse(verb, words[1:], face)
    except WrongLine as wrong:
        said = wrong.message
    else:  # a beginning of the option is enough in a terminal
        assert face == "cli"
        return

    assert f"Did you mean {meant}?" in said


def test_what_is_near_to_nothing_gets_no_guess() -> None:
    with pytest.raises(WrongLine) as caught:
        parse(find("download"), ["a/b", "--zzz"], "cli")

    assert "Did you mean" not in caught.value.message
    assert match_verb(["jobs", "beef"], "cli")[0].name == "jobs"


def test_two_revisions_of_one_model_are_refused_in_a_line() -> None:
    with pytest.raises(BadInput, match="names the revision v1, and v2 is asked for"):
        parse(find("download"), ["a/b@v1", "--revision", "v2"], "cli")


@pytest.mark.parametrize("verb", ["download", "verify", "repair", "evict", "pin"])
def test_to_every_verb_a_hub_in_front_of_a_name_means_a_data_set(verb: str) -> None:
    assert parse(find(verb), ["ms:a/b"], "cli").model_name == "ms:a/b"
