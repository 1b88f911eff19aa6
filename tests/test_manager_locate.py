"""A name that is spelled wrong is answered by what is here; no hub is asked for a folder."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadInput, HubUnreachable, JobNotFound, LoadError, Qwen3ftError, UnknownModel
from qwen3ft_jupyter.faces.actions import name_to_load
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.kinds import FINETUNE
from qwen3ft_jupyter.manager.params import FineTuneParams
from qwen3ft_jupyter.work import Reporter
from tests.played_paths import answering

if TYPE_CHECKING:
    from qwen3ft_jupyter.loading.loaded import ModelLocation

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the kernel is in, with a run, a model, a file, and a run elsewhere."""
    for name in ("MODELSCOPE_ENDPOINT", "HF_ENDPOINT"):
        monkeypatch.setenv(name, NOWHERE)
    here = tmp_path / "work"
    for folder in ("runs/first", "experiments/poems", "exports/merged"):
        (here / folder).mkdir(parents=True)
    for run in ("runs/first", "experiments/poems"):
        (here / run / "config.json").write_text(json.dumps({"model": "Qwen/Qwen3-0.6B", "method": "lora"}))
    (here / "exports/merged/config.json").write_text("{}")
    (here / "exports/merged/model.safetensors").write_bytes(b"")
    (here / "notes.txt").write_text("x")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def manager(tmp_path: Path) -> ModelManager:
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")


def ask(manager: ModelManager, name: str) -> ModelLocation:
    return manager._locate(name_to_load(manager, name), Reporter())


@pytest.mark.usefixtures("here")
def test_a_path_is_taken_for_what_it_names(manager: ModelManager) -> None:
    with pytest.raises(UnknownModel, match="exports/merged"):
        manager.load_model_and_tokenizer(Path("exports", "merge"))
    assert manager._locate(Path("exports", "merged"), Reporter()) == ask(manager, "exports/merged")


@pytest.mark.parametrize(("question", "options"), [("", {}), (None, {}), ("Hi", {"max_new_tokens": 0})])
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(
    manager: ModelManager, question: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(BadInput):
        manager.chat("Qwen/Qwen3-0.6B", question, **options)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("runs/firsst", "runs/first"),
        ("./runs/firsst", "runs/first"),
        ("runs\\first", "runs/first"),
        (r".\runs\firsst", "runs/first"),
        ("run/first", "runs/first"),
        ("first", "runs/first"),
        ("firsst", "runs/first"),
        ("exports/merge", "exports/merged"),
        ("qwen3ft/Qwen3-Practise", "qwen3ft/Qwen3-Practice"),
        ("qwen3ft/practice", "qwen3ft/Qwen3-Practice"),
        ("Qwen/Qwen3-06B", "Qwen/Qwen3-0.6B"),
        ("Qwen/Qwen3-0.6", "Qwen/Qwen3-0.6B"),
        ("Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
    ],
)
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("call", ["locate", "load", "chat"])
def test_the_nearest_is_named(manager: ModelManager, name: str, near: str, call: str) -> None:
    calls: dict[str, Any] = {
        "locate": lambda: ask(manager, name),
        "load": lambda: manager.load_model_and_tokenizer(name),
        "chat": lambda: manager.chat(name, "hello"),
    }

    with pytest.raises(Qwen3ftError) as caught:
        calls[call]()

    assert caught.value.code in ("unknown-model", "bad-name")
    assert caught.value.hint == f'Did you mean "{near}"?'


@pytest.mark.parametrize(
    "name",
    [
        "runs/nope",
        "runs/nope/checkpoint-10",
        "./x",
        "../x",
        "~/no such folder",
        "/no/such",
        "runs\\x",
        "C:\\x",
        "a/b/c",
        "./" + 300 * "x",
    ],
)
@pytest.mark.usefixtures("here")
def test_no_hub_is_asked_for_a_folder(manager: ModelManager, name: str) -> None:
    with pytest.raises(UnknownModel, match="There is no folder") as caught:
        ask(manager, name)

    assert caught.value.hint


@pytest.mark.parametrize(
    "name",
    ["nobody", "", " ", "exports/x", "models\\x"],
)
@pytest.mark.usefixtures("here")
def test_no_hub_is_asked_for_what_may_be_a_folder(manager: ModelManager, name: str) -> None:
    with pytest.raises(UnknownModel, match="There is no") as caught:
        ask(manager, name)

    assert caught.value.hint


@pytest.mark.usefixtures("here")
def test_a_model_of_a_hub_that_is_called_like_a_folder_has_a_way(manager: ModelManager) -> None:
    with pytest.raises(UnknownModel) as caught:
        ask(manager, "runs/nope")

    assert "%qwen3ft download runs/nope" in caught.value.hint


@pytest.mark.usefixtures("here")
def test_what_may_be_a_hubs_is_asked_of_it(manager: ModelManager) -> None:
    for name in ("acme/Tiny-1", "Qwen/Qwen3-0.6B", "hf.co/acme/Tiny-1"):
        with pytest.raises(HubUnreachable):
            ask(manager, name)


def test_a_folder_with_a_model_is_taken_before_a_name_that_nobody_knows(manager: ModelManager, here: Path) -> None:
    assert ask(manager, "exports/merged").folder.absolute() == here / "exports/merged"


def test_what_is_there_and_no_model_is_named(manager: ModelManager, here: Path) -> None:
    for name, said in (("notes.txt", "notes.txt is a file"), (str(here / "notes.txt"), "is a file")):
        with pytest.raises(LoadError, match=said):
            ask(manager, name)
    with pytest.raises(LoadError, match="The folder runs holds no model"):
        manager.load_model_and_tokenizer("runs")


def test_a_run_in_another_folder_is_found_by_its_job(
    manager: ModelManager, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel of a notebook is in the notebook's folder, and the run in another one."""
    jobs = manager._model_jobs
    config = {"model": "Qwen/Qwen3-0.6B", "data": ["x"], "output_dir": str(here / "experiments/poems")}
    with manager.job_store.here():
        job = manager.job_store.start(FINETUNE, FineTuneParams(jobs.starter(), config))

    with pytest.raises(UnknownModel) as below:
        ask(manager, "runs/poems")
    monkeypatch.chdir(here / "runs")
    with pytest.raises(UnknownModel) as beside:
        ask(manager, "runs/poem")

    assert below.value.hint == 'Did you mean "experiments/poems"?'
    assert beside.value.hint == f'Did you mean "{job.id}"?'


@pytest.mark.usefixtures("here")
def test_a_part_of_an_id_that_several_jobs_have_is_refused(manager: ModelManager, here: Path) -> None:
    config = {"model": "Qwen/Qwen3-0.6B", "data": ["x"], "output_dir": str(here / "experiments/poems")}
    with manager.job_store.here():
        for _ in range(2):
            manager.job_store.start(FINETUNE, FineTuneParams(manager._model_jobs.starter(), config))

    with pytest.raises(JobNotFound, match="2 jobs are called like"):
        ask(manager, "20")


@pytest.mark.skipif(os.name == "nt", reason="errors of POSIX")
@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.ENOTCONN, errno.EIO, errno.ELOOP])
@pytest.mark.parametrize("name", ["exports/merged", "runs/first"])
def test_a_folder_that_cannot_be_looked_at_is_not_said_to_be_missing(
    manager: ModelManager, here: Path, name: str, number: int
) -> None:
    with (
        answering(here / name, number),
        pytest.raises(LoadError, match=f"{Path(name).name} cannot be read: {os.strerror(number)}"),
    ):
        ask(manager, str(here / name))
