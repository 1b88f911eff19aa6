"""What people write for a model: taken where only one can be meant, else answered by a hint that works."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.catalog import check_published
from qwen3ft_jupyter.errors import BadInput, BadName, UnknownModel
from qwen3ft_jupyter.hubs import git_refs, names, spelling
from qwen3ft_jupyter.hubs.git_refs import MAX_REVISION, check_revision
from qwen3ft_jupyter.hubs.names import as_repo_id
from qwen3ft_jupyter.hubs.spelling import parse_model

NAME = "Qwen/Qwen3-0.6B"
_HINTED = re.compile(r'"([^"]+)"')

TAKEN = {
    NAME: None,
    f" {NAME}\n": None,
    f"{NAME}/": None,
    f"{NAME}//": None,
    f"{NAME}／": None,
    "Qwen／Qwen3-0.6B": None,
    "Ｑｗｅｎ/Ｑｗｅｎ３-０.６Ｂ": None,
    f"\u200b{NAME}\ufeff": None,
    "Qwen/\u200bQwen3-0.6B": None,
    f"\u00a0{NAME}\u3000": None,
    f'"{NAME}"': None,
    f"“{NAME}”": None,
    f"「{NAME}」": None,
    f"`{NAME}`": None,
    f"{NAME}@main": "main",
    f"{NAME}@v1.0": "v1.0",
    f"{NAME}@refs/pr/1": "refs/pr/1",
    f"{NAME}@{'c' * 40}": "c" * 40,
    f"https://huggingface.co/{NAME}": None,
    f"http://huggingface.co/{NAME}": None,
    f"HTTPS://HuggingFace.co/{NAME}": None,
    f"https://www.huggingface.co/{NAME}/": None,
    f"<https://huggingface.co/{NAME}>": None,
    f"huggingface.co/{NAME}": None,
    f"hf.co/{NAME}": None,
    f"https://hf.co/{NAME}": None,
    f"hf-mirror.com/{NAME}": None,
    f"https://hf-mirror.com/{NAME}/tree/main": "main",
    f"https://huggingface.co/{NAME}?library=transformers": None,
    f"https://https://huggingface.co/{NAME}": None,
    f"http://https://modelscope.cn/models/{NAME}": None,
    f"https://huggingface.co/{NAME}#quickstart": None,
    f"https://huggingface.co/{NAME}/tree/main": "main",
    f"https://huggingface.co/{NAME}/tree/main/sub/folder": "main",
    f"https://huggingface.co/{NAME}/tree/refs%2Fpr%2F1": "refs/pr/1",
    f"https://huggingface.co/{NAME}/tree/refs/pr/1": "refs/pr/1",
    f"https://huggingface.co/{NAME}/tree/feature%2Fx": "feature/x",
    f"https://huggingface.co/{NAME}/blob/v1/config.json": "v1",
    f"https://huggingface.co/{NAME}/resolve/v1/model.safetensors?download=true": "v1",
    f"https://huggingface.co/{NAME}/raw/main/README.md": "main",
    f"https://huggingface.co/{NAME}/commit/{'c' * 40}": "c" * 40,
    f"https://huggingface.co/{NAME}/commits/main": "main",
    f"https://huggingface.co/{NAME}/discussions/3": None,
    f"https://huggingface.co/models/{NAME}": None,
    f"https://huggingface.co/api/models/{NAME}": None,
    f"https://huggingface.co/api/models/{NAME}/revision/main": "main",
    f"https://huggingface.co/api/models/{NAME}/tree/main?recursive=true": "main",
    f"https://huggingface.co/{NAME}.git": None,
    f"git@hf.co:{NAME}.git": None,
    f"ssh://git@hf.co/{NAME}": None,
    f"hf://{NAME}": None,
    f"hf://models/{NAME}": None,
    f"hf://{NAME}@v1/config.json": "v1",
    f"https://modelscope.cn/models/{NAME}": None,
    f"https://www.modelscope.cn/models/{NAME}/summary": None,
    f"modelscope.cn/models/{NAME}/summary": None,
    f"https://modelscope.cn/models/{NAME}/files": None,
    f"https://modelscope.cn/models/{NAME}/files?Revision=v1": "v1",
    f"https://modelscope.cn/models/{NAME}/file/view/master/config.json?status=1": "master",
    f"https://modelscope.cn/models/{NAME}/file/view/v1?fileName=config.json": "v1",
    f"https://modelscope.cn/models/{NAME}/resolve/master/config.json": "master",
    f"https://modelscope.cn/models/{NAME}/tree/master": "master",
    f"https://modelscope.cn/{NAME}.git": None,
    f"https://modelscope.ai/models/{NAME}": None,
    f"https://modelscope.cn/api/v1/models/{NAME}/repo?Revision=v2&FilePath=a.json": "v2",
    f"https://modelscope.cn/openapi/v1/models/{NAME}": None,
}


@pytest.mark.parametrize(("text", "revision"), TAKEN.items())
def test_what_can_mean_only_one_model_is_taken_with_its_revision(text: str, revision: str | None) -> None:
    assert parse_model(text) == (NAME, revision)


HINTED = {
    f"{NAME}.git": NAME,
    "Qwen--Qwen3-0.6B": NAME,
    "models--Qwen--Qwen3-0.6B": NAME,
    "Qwen_Qwen3-0.6B": NAME,
    "models--org--tiny-2": "org/tiny-2",
    f"models/{NAME}": NAME,
    f"{NAME}/tree/main": NAME,
    f"{NAME}/resolve/main/config.json": NAME,
    "Qwen / Qwen3-0.6B": NAME,
    "Qwen/Qwen3 0.6B": NAME,
    "Qwen / Qwen3 - 0.6B": NAME,
    "Qwen//Qwen3-0.6B": NAME,
    "Qwen\\Qwen3-0.6B": NAME,
    "Qwen%2FQwen3-0.6B": NAME,
    "Qwen:Qwen3-0.6B": NAME,
    f"{NAME}:latest": NAME,
    f"{NAME}?x=1": NAME,
    f"/{NAME}": NAME,
    "qwen3-0.6b": NAME,
    "Qwen3-0.6B": NAME,
    "QWEN3-0.6B": NAME,
    "qwen3:0.6b": NAME,
    "qwen3_0.6b": NAME,
    "Qwen3 0.6B": NAME,
    "qwen3-0.6": NAME,
    "Qwen3-0___6B": NAME,
    "0.6B": NAME,
    "QwenLM/Qwen3 0.6B": NAME,
    "Qwen3-8B": "Qwen/Qwen3-8B",
    "Qwen3-7B": "Qwen/Qwen3-8B",
    "Practice": "qwen3ft/Qwen3-Practice",
    "practice": "qwen3ft/Qwen3-Practice",
    "Qwen3-Practice": "qwen3ft/Qwen3-Practice",
    "qwen3-practice": "qwen3ft/Qwen3-Practice",
    "Qwen3-Pratice": "qwen3ft/Qwen3-Practice",
    "practice model": "qwen3ft/Qwen3-Practice",
    "qwen3ft_Qwen3-Practice": "qwen3ft/Qwen3-Practice",
    f"http://127.0.0.1:8900/{NAME}": NAME,
    f"https://mirror.corp/{NAME}/tree/v1": f"{NAME}@v1",
    f"https://mirror.corp/models/{NAME}": NAME,
    "tiny": NAME,
    "my_model": NAME,
    "bert-base-uncased": NAME,
    "": NAME,
    "/": NAME,
    "~/models/x": NAME,
    "C:\\models\\x": NAME,
    "../b": NAME,
    "千问/Qwen3": NAME,
    "a/b/c": NAME,
    "https://huggingface.co": NAME,
    "https://huggingface.co/Qwen": NAME,
    "https://huggingface.co/bert-base-uncased": NAME,
    f"https://huggingface.co/datasets/{NAME}": NAME,
    f"https://huggingface.co/spaces/{NAME}": NAME,
    f"https://huggingface.co/collections/{NAME}": NAME,
    f"https://modelscope.cn/datasets/{NAME}/summary": NAME,
    f"https://modelscope.cn/studios/{NAME}": NAME,
    f"datasets/{NAME}": NAME,
    f"hf://datasets/{NAME}": NAME,
    "https://huggingface.co/docs/transformers/index": NAME,
    "https://[broken": NAME,
    f"huggingface-cli download {NAME} --local-dir x": NAME,
    f"git clone https://huggingface.co/{NAME}": NAME,
    f"git clone https://www.modelscope.cn/{NAME}.git": NAME,
    f"[{NAME}](https://huggingface.co/{NAME})": NAME,
    f"hf download {NAME}@main": f"{NAME}@main",
    f"{NAME} (recommended)": NAME,
    f"模型：{NAME}，推荐": NAME,
    "https://modelscope.cn/organization/Qwen": NAME,
    "https://huggingface.co/organizations/Qwen": NAME,
    "https://huggingface.co/settings/tokens": NAME,
    "https://github.com/QwenLM/Qwen3": NAME,
    "https://kaggle.com/models/qwen-lm/qwen-3": NAME,
    "file:///data/Qwen3-0.6B": NAME,
}


@pytest.mark.parametrize(("text", "near"), HINTED.items())
def test_what_cannot_be_taken_is_answered_by_a_name_that_works_when_it_is_given(text: str, near: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_model(text)

    hinted = _HINTED.findall(caught.value.hint)
    assert near in hinted
    check_published(parse_model(hinted[hinted.index(near)]).repo_id)


def test_of_two_names_none_is_guessed() -> None:
    with pytest.raises(BadName) as caught:
        parse_model(f"{NAME}，Qwen/Qwen3-1.7B")

    assert "Did you mean" not in caught.value.hint


@pytest.mark.parametrize(
    "name", ["Qwen/qwen3-0.6b", "qwen/Qwen3-0.6B", "Qwen/Qwen3-0___6B", "Qwen/Qwen3-7B", "qwen3ft/x"]
)
def test_a_well_formed_name_that_nobody_published_is_answered_by_one_that_works(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        check_published(parse_model(name).repo_id)

    check_published(parse_model(_HINTED.findall(caught.value.hint)[0]).repo_id)


@pytest.mark.parametrize("text", [f"ms:{NAME}", f"HF::{NAME}", f"modelscope:{NAME}@v1", f"  “ms:{NAME}:subset” "])
def test_what_has_a_hub_in_front_is_the_name_of_a_data_set(text: str) -> None:
    with pytest.raises(BadName, match="is the name of a data set") as caught:
        parse_model(text)

    assert "--hub" in caught.value.hint


@pytest.mark.parametrize("text", [f"xy:{NAME}", "ms:Qwen3-0.6B", f"ms:hf:{NAME}", "hf:", "C:/a/b"])
def test_what_is_no_hub_or_no_name_behind_one_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse_model(text)


def test_what_leads_to_a_dataset_or_a_space_is_called_by_its_name() -> None:
    with pytest.raises(BadName, match="a dataset, not of a model"):
        parse_model("https://huggingface.co/datasets/Qwen/X")
    with pytest.raises(BadName, match="a space, not of a model"):
        parse_model("hf.co/spaces/Qwen/X")


def test_an_address_in_a_host_that_only_looks_like_a_hub_is_not_taken() -> None:
    for host in ("huggingface.co.evil.example", "evil.example/huggingface.co", "huggingface.co@evil.example"):
        with pytest.raises(BadName):
            parse_model(f"https://{host}/{NAME}")


def test_a_revision_may_be_given_twice_if_it_is_the_same() -> None:
    assert parse_model(f"{NAME}@v1", "v1") == (NAME, "v1")
    assert parse_model(NAME, " v1 ") == (NAME, "v1")
    assert parse_model(NAME, "") == (NAME, None)

    with pytest.raises(BadInput, match="names the revision v1, and v2 is asked for"):
        parse_model(f"https://huggingface.co/{NAME}/tree/v1", "v2")


@given(st.text(max_size=60))
def test_no_text_is_taken_for_anything_but_a_plain_name_and_a_revision_that_git_takes(text: str) -> None:
    try:
        repo_id, revision = parse_model(text)
    except BadInput:
        return

    assert as_repo_id(repo_id) == repo_id
    assert revision is None or check_revision(revision) == revision


@pytest.mark.parametrize(
    "text",
    [
        "a" + " " * 1_000_000 + "b",
        f"{NAME}{' ' * 1_000_000}@v1",
        "/" * 1_000_000,
        "a-" * 500_000,
        "a--" * 300_000,
        "https://hf.co/" + "a/" * 500_000,
    ],
    ids=range(6),
)
def test_a_text_without_end_is_refused_without_being_read(text: str) -> None:
    with pytest.raises(BadName) as caught:
        parse_model(text)

    assert len(str(caught.value)) < 1000


REVISIONS = [
    "main",
    "master",
    "v1.0",
    "v1.0+cu12",
    "refs/pr/1",
    "feature/some-thing",
    "c" * 40,
    "abc1234",
    "_x",
    "#1",
    "100%",
    "a@b",
    "版本1",
    "x" * MAX_REVISION,
]
NO_REVISIONS = [
    " ",
    "../../etc/passwd",
    "..",
    ".",
    "a/../b",
    ".git/hooks/x",
    "a/.hidden",
    "/etc/passwd",
    "/",
    "a/",
    "a//b",
    "a.",
    "a..b",
    "a.lock",
    "a.lock/b",
    "C:\\x",
    "C:/x",
    "\\\\host\\share",
    "a\\b",
    "a b",
    "a\tb",
    "a\nb",
    "a\0b",
    "a~1",
    "a^",
    "a:b",
    "a?",
    "a*",
    "a[b",
    "@",
    "a@{1}",
    "-x",
    "--force",
    "a\u202eb",
    "a\u200bb",
    "a\ud800b",
    "x" * (MAX_REVISION + 1),
    "x" * 5000,
]


@pytest.mark.parametrize("text", REVISIONS)
def test_what_git_takes_for_a_revision_is_one(text: str) -> None:
    assert check_revision(text) == text
    assert parse_model(NAME, f" {text}\n").revision == text


@pytest.mark.parametrize("text", NO_REVISIONS)
def test_what_git_would_not_take_is_refused_and_named(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_revision(text)

    assert caught.value.message.isascii()
    assert len(caught.value.message) < 200
    check_revision(caught.value.hint.split(", for example ")[1].split(";")[0])


@pytest.mark.parametrize("module", [spelling, git_refs, names])
def test_the_examples_are_true(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
