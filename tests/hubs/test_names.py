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
    LINUX,
    MAC,
    MAX_DEPTH,
    MAX_PART_BYTES,
    WINDOWS,
    NameRules,
    check_paths,
    choose_paths,
    is_wanted,
    parse_repo_id,
    parse_sha256,
    path_problem,
    slug,
)

if TYPE_CHECKING:
    from random import Random

ESCAPES = [
    "",
    "/etc/passwd",
    "../up",
    "../up.py",
    "a/../../up",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "/",
    "C:/x",
    "c:\\x",
    "\\\\host\\share",
    "\\x",
    "..\\up",
    "a\\..\\..\\up",
]
"""They lead out of a folder on some system: no listing that names one is believed."""
NOWHERE = [
    "a\\b",
    "bell\x07",
    "new\nline",
    "nul\x00byte",
    "right\u202eleft",
    "zero\u200bwidth",
    "\ufeffmark",
    "lone\ud800surrogate",
    "line\u2028separator",
    "x" * (MAX_PART_BYTES + 1),
    "\u6a21" * 70,
    "/".join("abcdefghijklmnopqrstuvwxyz" for _ in range(20)),
    "/".join("d" * (MAX_DEPTH + 1)),
]
"""They are kept on no system."""
NOT_ON_WINDOWS = [
    "C:x",
    "file.txt:stream",
    "images/Screenshot 10:00.png",
    "nul",
    "NUL.txt",
    "aux.json",
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
    "backup~1.json",
    "what?",
    "star*",
    "pipe|",
    'quote"',
    "<tag>",
]
HOSTILE = [*ESCAPES, *NOWHERE, *NOT_ON_WINDOWS]
SYSTEMS = [LINUX, MAC, WINDOWS]
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
    "cafe\u0301.png",
    "\ud55c\uad6d.png",
    unicodedata.normalize("NFD", "\ud55c\uad6d.png"),
    "\U0001f469\u200d\U0001f4bb.png",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.md",
    "\u00c5ngstr\u00f6m.md",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_cannot_be_kept_on_windows_is_refused_there_and_named(path: str) -> None:
    with pytest.raises(BadListing) as caught:
        check_paths(["config.json", path], WINDOWS)

    assert path_problem(path, WINDOWS)
    assert ascii(path)[1:10] in caught.value.message
    assert caught.value.message.isascii()


@pytest.mark.parametrize("rules", SYSTEMS)
@pytest.mark.parametrize("path", [*ESCAPES, *NOWHERE])
def test_a_path_that_leads_out_or_cannot_be_shown_is_refused_everywhere(path: str, rules: NameRules) -> None:
    assert path_problem(path, rules)


@pytest.mark.parametrize("rules", [LINUX, MAC])
@pytest.mark.parametrize("path", NOT_ON_WINDOWS)
def test_what_only_windows_cannot_keep_passes_elsewhere(path: str, rules: NameRules) -> None:
    assert check_paths([path], rules) == [path]


@pytest.mark.parametrize("rules", SYSTEMS)
@pytest.mark.parametrize("path", GOOD)
def test_an_ordinary_path_passes(path: str, rules: NameRules) -> None:
    assert check_paths([path], rules) == [path]


FOLDED = [
    ("README.md", "readme.md"),
    ("Docs/a", "docs/b"),
    ("stra\u00dfe", "strasse"),
    ("\u212aelvin", "kelvin"),
    ("\ufb01le", "file"),
    ("A", "a/b"),
    ("\u00fcber.md", "u\u0308ber.md"),
    ("\ud55c\uad6d.png", unicodedata.normalize("NFD", "\ud55c\uad6d.png")),
]
CONTRADICTIONS = [("README.md", "README.md"), ("a", "a/b"), ("a/b", "a"), ("x/y/z", "x/y")]


@pytest.mark.parametrize("rules", [MAC, WINDOWS])
@pytest.mark.parametrize("pair", [*FOLDED, *CONTRADICTIONS])
def test_two_paths_that_one_disk_takes_for_the_same_are_refused(pair: tuple[str, str], rules: NameRules) -> None:
    with pytest.raises(BadListing):
        check_paths(pair, rules)


@pytest.mark.parametrize("pair", FOLDED)
def test_where_a_disk_tells_them_apart_both_pass(pair: tuple[str, str]) -> None:
    assert check_paths(pair, LINUX) == list(pair)


@pytest.mark.parametrize("pair", CONTRADICTIONS)
def test_what_no_disk_can_hold_is_refused_everywhere(pair: tuple[str, str]) -> None:
    with pytest.raises(BadListing):
        check_paths(pair, LINUX)


def test_two_files_of_one_folder_pass() -> None:
    assert check_paths(["a/b", "a/c", "a/d/e", "b"], WINDOWS) == ["a/b", "a/c", "a/d/e", "b"]


# What is downloaded of a listing


def chosen(paths: list[str], rules: NameRules) -> tuple[list[str], dict[str, str]]:
    """Return what is downloaded, and what is left out with the reason."""
    files, rest = choose_paths([(path, 1) for path in paths], rules)
    return [*files.values()], {file.path: file.problem for file in rest}


@pytest.mark.parametrize("rules", SYSTEMS)
@pytest.mark.parametrize(
    "path",
    [
        ".github/work?flow.yml",
        "images/Screenshot 10:00.py",
        "aux.py",
        "con.bin",
        "backup~1.zip",
        "bell\x07.sh",
        "a\\b.exe",
        "right\u202eleft.so",
        "lone\ud800.bin",
        "x" * 300 + ".py",
        "/".join("d" * 40) + "/x.py",
        "CONFIG.JSON.py",
        "model.Safetensors.bin",
        "nul\x00.pt",
    ],
)
def test_what_nobody_wants_may_be_called_anything(path: str, rules: NameRules) -> None:
    files, _ = choose_paths([("config.json", 1), (path, 1), ("model.safetensors", 1)], rules)

    assert [*files.values()] == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("rules", SYSTEMS)
@pytest.mark.parametrize("path", [path for path in ESCAPES if path])
@pytest.mark.parametrize("suffix", ["", ".py", ".json"])
def test_what_leads_out_is_refused_whether_anybody_wants_it_or_not(path: str, suffix: str, rules: NameRules) -> None:
    if path.endswith(("/", "..", ".")) and suffix:
        return
    with pytest.raises(BadListing):
        chosen(["config.json", path + suffix], rules)


@pytest.mark.parametrize("path", [*NOWHERE, *NOT_ON_WINDOWS])
def test_what_is_wanted_but_cannot_be_kept_is_left_out_and_named(path: str) -> None:
    name = f"{path}.md" if not path.endswith((" ", ".")) else f"{path}/x.md"
    files, left = chosen(["config.json", name], WINDOWS)

    assert files == ["config.json"]
    assert left[name]


@pytest.mark.parametrize(
    "path",
    [
        "model:1.safetensors",
        "aux.safetensors",
        "weights?/model.safetensors",
        "a\u200bb.safetensors",
        "MODEL~1.safetensors",
        "con/model.safetensors.index.json",
    ],
)
def test_a_weight_that_cannot_be_kept_is_an_error_that_names_it(path: str) -> None:
    with pytest.raises(BadListing) as caught:
        chosen(["config.json", path], WINDOWS)

    assert ascii(path)[1:6] in caught.value.message


@pytest.mark.parametrize("rules", [MAC, WINDOWS])
def test_of_two_names_that_are_one_here_the_one_that_a_model_needs_is_kept(rules: NameRules) -> None:
    paths = ["Config.json", "config.json", "readme.md", "README.md", "Tokenizer.json", "tokenizer.json"]

    files, left = chosen(paths, rules)

    assert files == ["config.json", "README.md", "tokenizer.json"]
    assert sorted(left) == ["Config.json", "Tokenizer.json", "readme.md"]
    assert all("Unicode form" in problem for problem in left.values())


@pytest.mark.parametrize("rules", [MAC, WINDOWS])
def test_two_weights_that_are_one_here_are_an_error(rules: NameRules) -> None:
    with pytest.raises(BadListing):
        chosen(["model.safetensors", "Model.safetensors"], rules)


def test_on_linux_all_of_them_are_kept() -> None:
    paths = ["Config.json", "config.json", "readme.md", "README.md", "a:b.png", "aux.json", "b~1.md", "what?.txt"]

    assert chosen(paths, LINUX) == (paths, {})


def test_the_hidden_are_not_even_named() -> None:
    assert chosen(["config.json", ".gitattributes", ".a/b?.py"], WINDOWS) == (["config.json"], {})


@pytest.mark.parametrize("rules", SYSTEMS)
def test_a_file_that_is_listed_twice_makes_a_listing_worthless(rules: NameRules) -> None:
    for twice in (["a.json", "a.json"], ["a.md", "a.md/b.md"]):
        with pytest.raises(BadListing):
            chosen(twice, rules)


parts = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["..", ".", "", "con", "a", "A", "b.json"])
paths = st.lists(parts, min_size=1, max_size=5).map("/".join) | st.sampled_from(HOSTILE)


@given(paths)
@example("a/../b")
def test_whatever_passes_stays_in_its_folder_on_every_platform(path: str) -> None:
    if not path_problem(path, LINUX):
        assert posixpath.normpath(path) == path
        assert not posixpath.isabs(path)
        assert not {unicodedata.category(one) for one in path} & {"Cc", "Cs", "Zl", "Zp"}
    if not path_problem(path, WINDOWS):
        assert ntpath.splitdrive(path) == ("", path)
        assert not ntpath.isabs(path)
        assert ntpath.normpath(path) == path.replace("/", "\\")
        assert not any(part.endswith((" ", ".")) for part in path.split("/"))


@given(st.lists(paths, max_size=8))
def test_whatever_passes_together_has_no_two_names_for_one_file(listed: list[str]) -> None:
    try:
        safe = check_paths(listed, WINDOWS)
    except BadListing:
        return

    keys = [unicodedata.normalize("NFKC", path).casefold() for path in safe]
    assert safe == listed
    assert len(set(keys)) == len(keys)
    assert not any(other.startswith(f"{key}/") for key in keys for other in keys)


@given(st.lists(paths.map(lambda path: f"{path}.json"), max_size=6), st.sampled_from(SYSTEMS))
def test_what_is_chosen_of_a_listing_passes_together(listed: list[str], rules: NameRules) -> None:
    try:
        files, rest = choose_paths([(path, 1) for path in listed], rules)
    except BadListing:
        return

    assert check_paths(files.values(), rules) == [*files.values()]
    assert [listed[number] for number in files] == [*files.values()]
    assert {*files.values(), *(file.path for file in rest)} <= {*listed}


@given(st.lists(paths, max_size=6), st.randoms())
def test_the_order_of_a_listing_does_not_decide(listed: list[str], random: Random) -> None:
    shuffled = random.sample(listed, len(listed))

    def result(candidates: list[str]) -> object:
        try:
            files, rest = choose_paths([(path, 1) for path in candidates], WINDOWS)
        except BadListing:
            return None
        return {*files.values()}, rest

    assert result(listed) == result(shuffled)


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
