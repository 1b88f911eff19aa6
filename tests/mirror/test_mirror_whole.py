"""A model of which weights are missing is listed to nobody: what a client downloads from a mirror can be used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.mirror import folders
from qwen3ft_jupyter.mirror.mirror import Mirror
from tests.mirror.conftest import REPO, ask, own_commit, put_in_cache
from tests.mirror.test_mirror_clients import BIN, environment, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
CONFIG = {"config.json": b'{"model_type": "qwen3"}', "tokenizer.json": b"{}"}
INDEXED = CONFIG | {INDEX: json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 5000\n" % (b"a" * 64)
BROKEN = {
    "pickles stayed on the hub": (CONFIG, ["pytorch_model.bin"]),
    "pickles in pieces stayed": (CONFIG, ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]),
    "an adapter's pickle stayed": ({"adapter_config.json": b"{}"}, ["adapter_model.bin"]),
    "a shard is missing": (INDEXED | {SHARDS[0]: b"w" * 50}, []),
    "a shard without index is alone": (CONFIG | {SHARDS[0]: b"w" * 50}, []),
    "a pointer of git-lfs": (CONFIG | {"model.safetensors": POINTER}, []),
    "a shard is a pointer": (INDEXED | {SHARDS[0]: b"w" * 50, SHARDS[1]: POINTER}, []),
    "empty weights": (CONFIG | {"model.safetensors": b""}, []),
}
WHOLE = {
    "weights": (CONFIG | {"model.safetensors": b"w"}, []),
    "shards": (INDEXED | dict.fromkeys(SHARDS, b"w"), []),
    "pickles of the same stayed": (CONFIG | {"model.safetensors": b"w"}, ["pytorch_model.bin", "optimizer.pt"]),
    "weights for other programs": ({"Qwen3-Q4_K_M.gguf": b"w", "README.md": b""}, ["imatrix.pt"]),
    "parts in folders": ({"model_index.json": b"{}", "unet/diffusion_pytorch_model.safetensors": b"w"}, ["unet/x.bin"]),
    "a tokenizer alone": ({"tokenizer.json": b"{}"}, []),
}
LISTS = [
    f"/api/models/{REPO}",
    f"/api/models/{REPO}/tree/main?recursive=true",
    f"/api/models/{REPO}/refs",
    f"/api/models/{REPO}/commits/main",
    f"/api/v1/models/{REPO}",
    f"/api/v1/models/{REPO}/revisions",
    f"/api/v1/models/{REPO}/repo/files?Revision=master&Recursive=True",
    f"/openapi/v1/models/{REPO}",
    f"/{REPO}.git/info/refs?service=git-upload-pack",
]


def put(tmp_path: Path, files: Mapping[str, bytes], left_out: list[str]) -> Path:
    put_in_cache(tmp_path / "cache" / "model", files, "a" * 40, "main", left_out=left_out)
    return tmp_path / "cache"


def listed(mirror: Mirror) -> list[object]:
    answers = [ask(mirror.url, target).body for target in ("/api/models", "/openapi/v1/models", "/")]
    first, second, status = map(json.loads, answers)
    return [[one["id"] for one in first], [one["id"] for one in second["data"]["models"]], status["models"]]


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_without_all_its_weights_is_in_no_list_and_named_as_not_served(tmp_path: Path, case: str) -> None:
    with Mirror(cache_dir=put(tmp_path, *BROKEN[case]), expected=lambda: [REPO]) as mirror:
        answers = [ask(mirror.url, target) for target in LISTS]
        status = json.loads(ask(mirror.url, "/").body)

        assert listed(mirror) == [[], [], 0]

    assert {answer.status for answer in answers} == {404}
    assert status["not_served"] == [REPO]


@pytest.mark.parametrize("case", WHOLE)
def test_a_model_that_needs_nothing_more_is_listed(tmp_path: Path, case: str) -> None:
    with Mirror(cache_dir=put(tmp_path, *WHOLE[case]), expected=lambda: [REPO]) as mirror:
        answers = [ask(mirror.url, target) for target in LISTS]

        assert listed(mirror) == [[REPO], [REPO], 1]
        assert mirror.unserved() == []

    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize("way", ["resolve", "raw"])
def test_a_file_of_a_model_that_is_not_listed_comes_by_the_hubs_commit_alone(tmp_path: Path, way: str) -> None:
    """It is one of that commit; as one of `main`, clients would note of which commit there are only these few."""
    with Mirror(cache_dir=put(tmp_path, *BROKEN["a shard is missing"])) as mirror:
        own = own_commit(BROKEN["a shard is missing"][0])
        hubs, *ours = (ask(mirror.url, f"/{REPO}/{way}/{revision}/config.json") for revision in ("a" * 40, "main", own))
        modelscope = ask(mirror.url, f"/api/v1/models/{REPO}/repo?Revision=master&FilePath=config.json")

    assert (hubs.status, hubs.body, hubs.headers["x-repo-commit"]) == (200, CONFIG["config.json"], "a" * 40)
    assert {(answer.status, answer.headers["x-error-code"]) for answer in ours} == {(404, "RepoNotFound")}
    assert "x-repo-commit" not in ours[0].headers
    assert modelscope.status == 404


def test_a_file_that_has_gone_takes_its_model_from_the_lists(tmp_path: Path) -> None:
    cache = put(tmp_path, *WHOLE["weights"])
    with Mirror(cache_dir=cache, expected=lambda: [REPO]) as mirror:
        (cache / "model" / "config.json").unlink()

        assert listed(mirror) == [[], [], 0]
        assert mirror.unserved() == [REPO]


def test_of_two_versions_the_one_with_weights_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "RESCAN_S", 0.0)
    cache = put(tmp_path, *BROKEN["pickles stayed on the hub"])
    whole = WHOLE["weights"][0]
    put_in_cache(cache / "model@v2", whole, "b" * 40, "v2")

    with Mirror(cache_dir=cache) as mirror:
        siblings = json.loads(ask(mirror.url, f"/api/models/{REPO}").body)["siblings"]

    assert {one["rfilename"] for one in siblings} == set(whole)


@pytest.mark.parametrize("command", [["hf", "download"], ["modelscope", "download"]])
def test_commands_say_that_it_is_not_here_instead_of_ending_well_without_weights(
    tmp_path: Path, command: list[str]
) -> None:
    with Mirror(cache_dir=put(tmp_path, *BROKEN["pickles stayed on the hub"])) as mirror:
        done = run([str(BIN / command[0]), *command[1:], REPO], environment(tmp_path, mirror))

    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "not found" in said or "does not have it whole" in said
