"""Listings that are garbage, enormous, hostile or untrue: whatever they say, no byte lands where it must not."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.cache.store import ModelCache
from qwen3ft_jupyter.download import downloader
from qwen3ft_jupyter.errors import BadListing, HubError, HubUnreachable, Qwen3ftError, WrongBytes
from qwen3ft_jupyter.hubs import http
from qwen3ft_jupyter.hubs.modelscope import TRUNCATED_AT
from tests.faults.loopback import (
    COMMIT,
    FILES,
    LARGE,
    Stage,
    huggingface_listing,
    is_listing,
    lists,
    modelscope_listing,
)
from tests.servers import CLOSE, Reply, Seen, json_reply
from tests.transfer.origin import REPO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.settings.declared import HubName

PROTOCOLS: tuple[HubName, HubName] = ("modelscope", "huggingface")


@pytest.fixture(params=PROTOCOLS)
def stage(network: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with Stage(tmp_path, request.param) as stage:
        yield stage


def says(stage: Stage, reply: Reply) -> None:
    stage.at_listing = lambda seen, _count: reply if is_listing(seen) else None


def entries(stage: Stage, files: dict[str, bytes]) -> list[dict[str, Any]]:
    return modelscope_listing(files) if stage.protocol == "modelscope" else huggingface_listing(files)


def renamed(stage: Stage, name: str) -> list[dict[str, Any]]:
    """List the right files, and one more under a name no listing may hold."""
    listed = entries(stage, {**FILES, "other.txt": b"other"})
    listed[-1]["path" if stage.protocol == "huggingface" else "Path"] = name
    return listed


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00garbage" * 100,
        b"[1, 2",
        b"null",
        b"42",
        b'"text"',
        b"[[]]",
        b'[{"type": "file"}]',
        b'{"Code": 200, "Success": true, "Data": {"Files": {"a": 1}}}',
        b'{"Code": 200, "Success": true, "Data": {"Files": ["a"]}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" + b"[],[[],[" * 50_000,
        b'{"Size": ' + b"9" * 100_000 + b"}",
        b"<!doctype html><title>Log in</title>",
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_no_listing_is_an_error(stage: Stage, body: bytes) -> None:
    says(stage, Reply(200, body))

    error = stage.fails(BadListing, "127.0.0.1|ModelScope|Hugging Face|The listing names", kept=0)

    if b"doctype" in body:
        assert "login page" in error.hint


def test_a_listing_without_end_is_cut(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = http.HttpClient.get.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "max_bytes", 1 << 20)
    says(stage, Reply(200, itertools.repeat(b" " * 65536), is_chunked=True))

    stage.fails(BadListing, "far more than a listing can hold")


def test_a_compressed_listing_is_read_and_one_that_swells_is_not(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = http.HttpClient.get.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "max_bytes", 1 << 20)
    bomb = gzip.compress(b" " * (4 << 20))
    says(stage, Reply(200, bomb, {"Content-Encoding": "gzip"}))
    stage.fails(BadListing, "far more than a listing can hold")
    says(stage, Reply(200, bomb[:-20], {"Content-Encoding": "br"}))
    stage.fails(BadListing, "encoding that was not asked for")

    listed = entries(stage, dict(FILES))
    body: Any = {"Code": 200, "Data": {"Files": listed}} if stage.protocol == "modelscope" else listed
    says(stage, Reply(200, gzip.compress(json.dumps(body).encode()), {"Content-Encoding": "gzip"}))
    stage.succeeds()


def test_a_listing_that_breaks_off_is_asked_for_again(stage: Stage) -> None:
    def fault(seen: Seen, count: int) -> Reply | None:
        return Reply(200, [b'{"Code":', CLOSE], {"Content-Length": "500"}) if is_listing(seen) and count == 0 else None

    stage.at_listing = fault
    stage.succeeds()


def test_one_that_always_breaks_off_is_an_error(stage: Stage) -> None:
    def half(seen: Seen, _count: int) -> Reply | None:
        return Reply(200, [b'{"Code":', CLOSE], {"Content-Length": "500"}) if is_listing(seen) else None

    stage.at_listing = half
    stage.fails(HubUnreachable, "broke off", kept=0)


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "a/../../outside.txt",
        "/etc/outside.txt",
        "C:/outside.txt",
        "..\\outside.txt",
        "\\\\server\\share\\x.txt",
        "a//b.txt",
        "a/./b.txt",
        "",
        ".",
        "config.json/x.txt",
        LARGE,
    ],
    ids=ascii,
)
def test_a_hostile_name_refuses_the_whole_listing_before_a_byte_moves(stage: Stage, name: str) -> None:
    lists(stage, renamed(stage, name))

    error = stage.fails(BadListing, "The listing names")

    assert "Nothing was downloaded" in error.hint
    assert not stage.store.seen
    stage.calm()
    stage.succeeds()


ODD_ON_WINDOWS = {
    "C:outside.txt": b"1",
    "nul.txt": b"2",
    "COM\u00b9.txt": b"3",
    "file.txt:stream.md": b"4",
    "images/Screenshot 10:00?.png": b"5",
    "QWEN3F~1/manifest.json": b"6",
    "backup~1.json": b"7",
    " a .md/ b.md": b"8",
    "CONFIG.json": b"9",
    "sub/NOTES.txt": b"10",
    "Sub/x.txt": b"11",
}
ODD_NOWHERE = {
    "cafe\u0301.txt": b"12",
    unicodedata.normalize("NFD", "\ud55c\uad6d.png"): b"13",
    "\U0001f469\u200d\U0001f4bb.png": b"14",
    "100% #1 & a+b=c;d.md": b"15",
}
ODD_EVERYWHERE = {
    "a\nb.txt": b"16",
    "a\0b.txt": b"17",
    "\u202etxt.md": b"18",
    "a\\b.md": b"19",
    "x" * 300 + ".txt": b"20",
    "/".join("abcdefghijklmnopqrstuvwxyz") + ".txt": b"21",
}


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such names")
def test_a_name_that_only_others_cannot_keep_is_kept_and_verified(stage: Stage) -> None:
    stage.files |= ODD_NOWHERE | (ODD_ON_WINDOWS if sys.platform != "darwin" else {})

    folder = stage.succeeds().model.folder

    assert ModelCache(folder.parent).verify(REPO).is_ok
    assert stage.ensure().was_cached


def test_on_a_volume_that_takes_two_names_for_one_the_other_is_left_out_and_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stick, or a folder of Windows, mounted on Linux."""
    monkeypatch.setattr(downloader, "folds_case", lambda _folder, _name: True)
    lists(stage, entries(stage, {**FILES, "CONFIG.json": b"9", "config.JSON": b"11"}))

    stage.succeeds()

    notices = [notice for notice in stage.told.notices if "stays on the hub" in notice]
    assert len(notices) == 2
    assert any("CONFIG.json" in notice and "config.json" in notice for notice in notices)


def test_a_name_that_nobody_can_keep_is_left_out_and_said(stage: Stage) -> None:
    lists(stage, entries(stage, {**FILES, **ODD_EVERYWHERE}))

    folder = stage.succeeds().model.folder

    notices = [notice for notice in stage.told.notices if "stay" in notice]
    assert len(notices) == 6
    assert "1 more files" in notices[-1]
    assert {path.name for path in folder.iterdir()} == {"config.json", LARGE, "sub", ".qwen3ft"}


@pytest.mark.parametrize(
    "name", ["a?b.py", "con.bin", "README.MD.so", ".x/\u202e", "A" * 900 + ".zip", "a\nb.sh", "x~1"]
)
def test_what_nobody_wants_may_be_called_anything(stage: Stage, name: str) -> None:
    lists(stage, renamed(stage, name))

    stage.succeeds()


@pytest.mark.parametrize("name", ["a\nb.safetensors", "\u202e.safetensors", "x" * 300 + ".safetensors"], ids=ascii)
def test_a_weight_whose_name_nobody_can_keep_refuses_the_listing(stage: Stage, name: str) -> None:
    lists(stage, renamed(stage, name))

    stage.fails(BadListing, "The listing names")


@pytest.mark.parametrize("name", [".qwen3ft/manifest.json", ".git/config", "evil.py", "model.bin", "run.sh", "x.pkl"])
def test_files_that_are_or_hold_programs_and_our_own_record_stay_on_the_hub(stage: Stage, name: str) -> None:
    lists(stage, renamed(stage, name))

    stage.succeeds()

    assert not any(name in seen.target for seen in stage.hub.seen)


@pytest.mark.parametrize("size", [-1, 2**53, 10**30, 1.5, "12", None, True, [], float("inf")])
def test_a_size_that_is_none_refuses_the_listing(stage: Stage, size: Any) -> None:
    listed = entries(stage, dict(FILES))
    listed[0]["size" if stage.protocol == "huggingface" else "Size"] = size
    lists(stage, listed)

    stage.fails(BadListing, "impossible size|not JSON", kept=0)


@pytest.mark.parametrize("offset", [-1, 1, 1_000_000])
def test_a_size_that_lies_is_found_out(stage: Stage, offset: int) -> None:
    listed = entries(stage, dict(FILES))
    large = next(entry for entry in listed if LARGE in entry.values())
    for entry in (large, large.get("lfs", {})):
        for key in ("size", "Size"):
            if key in entry:
                entry[key] += offset
    lists(stage, listed)

    stage.fails(WrongBytes, LARGE, kept=0)


def test_a_size_beyond_the_disk_is_refused_before_a_byte_moves(stage: Stage) -> None:
    listed = entries(stage, dict(FILES))
    large = next(entry for entry in listed if LARGE in entry.values())
    for entry in (large, large.get("lfs", {})):
        for key in ("size", "Size"):
            if key in entry:
                entry[key] = 2**52
    lists(stage, listed)

    stage.fails(Qwen3ftError, "missing|room|space|large")
    assert not stage.store.seen


@pytest.mark.parametrize("digest", ["f" * 64, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
def test_a_digest_that_lies_is_never_met(stage: Stage, digest: str) -> None:
    listed = entries(stage, dict(FILES))
    large = next(entry for entry in listed if LARGE in entry.values())
    if stage.protocol == "modelscope":
        large["Sha256"] = digest
    else:
        large["lfs"]["oid"] = digest
    lists(stage, listed)

    stage.fails(WrongBytes, rf"{LARGE}.*digest", kept=0)


@pytest.mark.parametrize("digest", ["", None, 7, "xyz", "f" * 63, "\u0665" * 64])
def test_a_file_without_a_digest_is_refused(stage: Stage, digest: Any) -> None:
    listed = entries(stage, dict(FILES))
    for key in ("oid", "Sha256"):
        if key in listed[0]:
            listed[0][key] = digest
    lists(stage, listed)

    stage.fails(BadListing, "digest", kept=0)


def test_an_empty_listing_is_an_error(stage: Stage) -> None:
    lists(stage, [])

    stage.fails(BadListing, "names no file", kept=0)


def test_a_listing_cut_at_three_thousand_entries_is_walked(network: None, tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        filler: list[dict[str, Any]] = [
            {"Path": f"data/{number}.py", "Type": "blob", "Size": 1, "Sha256": "f" * 64}
            for number in range(TRUNCATED_AT)
        ]
        files = modelscope_listing(dict(FILES))

        def cut(seen: Seen, _count: int) -> Reply | None:
            """List what is not wanted first, so that what is cut off would be missed."""
            if not seen.path.endswith("/repo/files"):
                return None
            root, is_recursive = seen.query.get("Root", ""), seen.query["Recursive"] == "True"
            everything = [*filler[:-1], {"Path": "data", "Type": "tree"}, {"Path": "sub", "Type": "tree"}, *files]
            if root:
                found = [entry for entry in everything if str(entry["Path"]).startswith(f"{root}/")]
            elif is_recursive:
                found = everything
            else:
                found = [entry for entry in everything if "/" not in str(entry["Path"])]
            return json_reply({"Code": 200, "Success": True, "Data": {"Files": found[:TRUNCATED_AT]}})

        stage.at_listing = cut

        stage.succeeds()


def test_pages_that_lead_in_a_circle_or_elsewhere_are_an_error(network: None, tmp_path: Path) -> None:
    with Stage(tmp_path, "huggingface") as stage:
        for target in (
            f"/api/models/Qwen/Qwen3-Test/tree/{COMMIT}?recursive=true&expand=false",
            "http://127.0.0.1:9/x",
        ):
            link = {"Link": f'<{target}>; rel="next"'}
            says(stage, json_reply(huggingface_listing(dict(FILES)), headers=link))
            stage.fails(BadListing, "never ends|another host")
        assert not stage.store.seen


def test_what_does_not_say_whether_it_is_a_file_is_not_left_out_without_a_word(network: None, tmp_path: Path) -> None:
    with Stage(tmp_path, "huggingface") as stage:
        config, *others = huggingface_listing(dict(FILES))
        del config["type"]
        says(stage, json_reply([config, *others]))
        stage.fails(BadListing, "holds something that is not a file")


def test_a_commit_that_is_none_is_an_error(network: None, tmp_path: Path) -> None:
    with Stage(tmp_path, "huggingface") as stage:
        for commit in ("../../x", 7, None, "f" * 39):
            stage.at_listing = lambda seen, _count, commit=commit: (
                json_reply({"sha": commit}) if "/revision/" in seen.path else None
            )
            stage.fails(HubError, "names no commit")


def test_the_small_file_of_huggingface_is_known_by_its_git_digest(network: None, tmp_path: Path) -> None:
    with Stage(tmp_path, "huggingface") as stage:
        stage.at_hub = lambda seen, _count: Reply(200, b"X" * 23) if seen.path.endswith("config.json") else None
        stage.fails(WrongBytes, r"config\.json.*digest")
