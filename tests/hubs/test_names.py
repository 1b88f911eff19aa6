from __future__ import annotations

import ntpath
import posixpath
import string
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qwen3ft_jupyter.errors import BadListing, BadName
from qwen3ft_jupyter.hubs.names import (
    MAX_DEPTH,
    MAX_PART_BYTES,
    check_paths,
    is_wanted,
    parse_repo_id,
    parse_sha256,
    path_problem,
    slug,
)

if TYPE_CHECKING:
    from random import Random

HOSTILE = [
    "",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/..",
    ".",
    "a//b",
    "a/",
    "C:/x",
    "C:x",
    "\\\\host\\share",
    "a\\b",
    "file.txt:stream",
    "nul",
    "NUL.txt",
    "a/con",
    "Com1.json",
    "com\u00b9.json",
    "aux .json",
    "conin$",
    "a.",
    "a ",
    " a",
    "folder./x",
    "QWEN3F~1/manifest.json",
    "MODEL~1.SAF",
    "bell\x07",
    "new\nline",
    "nul\x00byte",
    "right\u202eleft",
    "zero\u200bwidth",
    "lone\ud800surrogate",
    "line\u2028separator",
    "cafe\u0301",
    "what?",
    "star*",
    "pipe|",
    'quote"',
    "x" * (MAX_PART_BYTES + 1),
    "\u6a21" * 70,
    "/".join("abcdefghijklmnopqrstuvwxyz" for _ in range(20)),
    "/".join("d" * (MAX_DEPTH + 1)),
]
GOOD = [
    "config.json",
    "model-00001-of-00005.safetensors",
    "original/consolidated.safetensors",
    ".gitattributes",
    "\u8bf4\u660e/\u8bfb\u6211.md",
    "a b (c) [d] {e} #1 & 100%.txt",
    "tilde~.txt",
    "console.txt",
    "com10.txt",
    "...three",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused_and_named(path: str) -> None:
    with pytest.raises(BadListing) as caught:
        check_paths(["config.json", path])

    assert path_problem(path)
    assert ascii(path)[1:10] in caught.value.message
    assert caught.value.message.isascii()


@pytest.mark.parametrize("path", GOOD)
def test_an_ordinary_path_passes(path: str) -> None:
    assert check_paths([path]) == [path]


@pytest.mark.parametrize(
    "pair",
    [
        ("README.md", "readme.md"),
        ("README.md", "README.md"),
        ("Docs/a", "docs/b"),
        ("stra\u00dfe", "strasse"),
        ("\u212aelvin", "kelvin"),
        ("\ufb01le", "file"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("A", "a/b"),
        ("x/y/z", "x/y"),
    ],
)
def test_two_paths_that_one_disk_takes_for_the_same_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadListing):
        check_paths(pair)


def test_two_files_of_one_folder_pass() -> None:
    assert check_paths(["a/b", "a/c", "a/d/e", "b"]) == ["a/b", "a/c", "a/d/e", "b"]


parts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["..", ".", "", "con", "a", "A", "b.json"])
paths = st.lists(parts, min_size=1, max_size=5).map("/".join) | st.sampled_from(HOSTILE)


@given(paths)
@example("a/../b")
def test_whatever_passes_stays_in_its_folder_on_every_platform(path: str) -> None:
    if path_problem(path):
        return

    assert posixpath.normpath(path) == path
    assert not posixpath.isabs(path)
    assert ntpath.splitdrive(path) == ("", path)
    assert not ntpath.isabs(path)
    assert ntpath.normpath(path) == path.replace("/", "\\")
    assert not any(part in {"", ".", ".."} or part.endswith((" ", ".")) for part in path.split("/"))
    assert unicodedata.normalize("NFC", path) == path
    assert not {unicodedata.category(character) for character in path} & {"Cc", "Cf", "Cs"}


@given(st.lists(paths, max_size=8))
def test_whatever_passes_together_has_no_two_names_for_one_file(listed: list[str]) -> None:
    try:
        safe = check_paths(listed)
    except BadListing:
        return

    keys = [unicodedata.normalize("NFKC", path).casefold() for path in safe]
    assert safe == listed
    assert len(set(keys)) == len(keys)
    assert not any(other.startswith(f"{key}/") for key in keys for other in keys)


@given(st.lists(paths, max_size=6), st.randoms())
def test_the_order_of_a_listing_does_not_decide(listed: list[str], random: Random) -> None:
    shuffled = random.sample(listed, len(listed))

    def passes(candidates: list[str]) -> bool:
        try:
            check_paths(candidates)
        except BadListing:
            return False
        return True

    assert passes(listed) == passes(shuffled)


@pytest.mark.parametrize("text", ["Qwen/Qwen3-0.6B", " Qwen/Qwen3-0.6B\n", "a/b", "_x/y_", "01-ai/Yi-6B", "o/n--m"])
def test_a_repo_id_is_taken_as_it_is(text: str) -> None:
    assert parse_repo_id(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "../b",
        "a/..",
        "a/.b",
        "a/b.",
        "-a/b",
        "a/b..c",
        "a b/c",
        "a/b\n/c",
        "a\\b",
        "con/x",
        "a/nul",
        "con.x/y",
        "a/b.git",
        "\u5343\u95ee/Qwen3",
        "a/" + "b" * 97,
        "a@b/c",
        "a/b?c=d",
        "a/b#c",
        "a/%2e%2e",
    ],
)
def test_a_malformed_repo_id_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_repo_id(text)


def test_a_name_without_owner_gets_one_proposed() -> None:
    with pytest.raises(BadName, match="Qwen/Qwen3-8B"):
        parse_repo_id("Qwen3-8B")


@pytest.mark.parametrize(
    "address", ["https://huggingface.co/Qwen/Qwen3-8B", "https://www.modelscope.cn/models/Qwen/Qwen3-8B/files"]
)
def test_an_address_is_answered_with_the_name_in_it(address: str) -> None:
    with pytest.raises(BadName, match='"Qwen/Qwen3-8B"'):
        parse_repo_id(address)


@given(st.text(max_size=40))
def test_whatever_passes_as_repo_id_is_two_plain_parts_whose_slug_is_a_plain_name(text: str) -> None:
    try:
        repo_id = parse_repo_id(text)
    except BadName:
        return

    owner, name = repo_id.split("/")
    assert set(owner + name) <= set(string.ascii_letters + string.digits + "._-")
    assert not path_problem(slug(repo_id))
    assert not slug(repo_id).startswith(".")


def test_a_slug_is_what_users_type() -> None:
    assert slug("Qwen/Qwen3-0.6B") == "Qwen_Qwen3-0.6B"


@pytest.mark.parametrize("text", ["f" * 64, "F" * 64])
def test_a_sha256_is_64_hexadecimal_digits_in_lower_case(text: str) -> None:
    assert parse_sha256(text) == "f" * 64


@pytest.mark.parametrize("text", ["", "f" * 63, "f" * 65, "g" * 64, "f" * 64 + "\n", "\u0666" * 64])
def test_anything_else_is_no_sha256(text: str) -> None:
    assert parse_sha256(text) is None


@pytest.mark.parametrize(
    "path",
    [
        "config.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "tokenizer.model",
        "README.md",
        "LICENSE",
        "LICENSE.bin",
        "original/params.json",
        "onnx/model.onnx",
        "model.gguf",
        "figures/loss.png",
    ],
)
def test_what_a_model_needs_is_wanted(path: str) -> None:
    assert is_wanted(path)


@pytest.mark.parametrize(
    "path",
    [
        ".gitattributes",
        ".qwen3ft/manifest.json",
        "a/.hidden/b.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "training_args.BIN",
        "model.pt",
        "model.pth",
        "state.pkl",
        "model.ckpt",
        "tf_model.h5",
        "flax_model.msgpack",
        "rust_model.ot",
        "data.npz",
        "modeling_qwen.py",
        "setup.sh",
        "run.bat",
        "lib/kernel.so",
        "lib/kernel.so.1.2",
        "evil.dll",
        "evil.exe",
        "page.html",
        "icon.svg",
        "notebook.ipynb",
        "everything.tar.gz",
        "install",
        "Makefile",
    ],
)
def test_what_may_run_is_left_on_the_hub(path: str) -> None:
    assert not is_wanted(path)
