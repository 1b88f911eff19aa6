"""What people do after a fine-tune, through the manager, the command line and REST, with real job processes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.errors import (
    BadConfig,
    BadInput,
    CacheDamaged,
    LoadError,
    NotCached,
    UnknownModel,
    UnsafeModel,
    error_from_json,
)
from qwen3ft_jupyter.faces.say import error
from qwen3ft_jupyter.finetune.export import CONVERTER
from qwen3ft_jupyter.finetune.merged import is_merged
from qwen3ft_jupyter.finetune.results import Outcome, Record
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.kinds import EXPORT, MERGE
from qwen3ft_jupyter.practice.model import MODEL_FOLDER, data_files
from tests.finetune.adapters import change_config, make_adapter
from tests.test_manager import waiting

if TYPE_CHECKING:
    from pathlib import Path

    from qwen3ft_jupyter.jobs.store import Job

WAIT_S = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the practice model, and a finished LoRA run in `runs/first`; tests must not change them."""
    return make_place(tmp_path_factory.mktemp("after"))


def make_place(place: Path) -> Path:
    manager = get_model_manager(cache_dir=place / "cache", state_dir=place / "state", offline=True)
    manager.ensure_model_cached(PRACTICE_REPO_ID)
    commit = manager.cached_models()[0].commit
    make_run(place / "runs/first", "lora", commit)
    make_adapter(MODEL_FOLDER, place / "runs/first/adapter")
    change_config(place / "runs/first/adapter", base_model_name_or_path=PRACTICE_REPO_ID)
    return place


def make_run(folder: Path, method: str, commit: str | None) -> None:
    """Write the records of a finished fine-tune, as `finetune.output` does."""
    folder.mkdir(parents=True)
    config = {"model": PRACTICE_REPO_ID, "data": [str(data_files()[0])], "output_dir": str(folder), "method": method}
    record = Record(config, "20260102-030405-finetune-abcd", commit, (), {})
    (folder / "config.json").write_text(json.dumps(record.to_json()))
    outcome = Outcome(str(folder), method, 1, 2.0, 1.0, 1.0, 1, 1, "float32", "cpu", 1, commit)
    (folder / "result.json").write_text(json.dumps(outcome.to_dict()))
    (folder / "README.md").write_text(
        f"---\nbase_model: {PRACTICE_REPO_ID}\n---\n\n# {folder.name}\n\nTold by the run.\n"
    )


@pytest.fixture
def manager(place: Path, tmp_path: Path) -> ModelManager:
    return get_model_manager(cache_dir=place / "cache", state_dir=tmp_path / "state", offline=True)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def done(job: Job) -> dict[str, Any]:
    status = job.wait(WAIT_S)
    if status.error:
        raise error_from_json(status.error)
    assert status.state == "succeeded", job.log().text
    assert status.result is not None
    return dict(status.result)


# Merging


def test_a_merged_run_is_loaded_and_talked_to_by_its_folder_and_by_its_job(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    job = manager.merge(str(place / "runs/first"), tmp_path / "whole")

    result = MERGE.read_result(done(job))

    assert result is not None
    assert result.output_dir == str(tmp_path / "whole")
    assert result.base_commit
    assert result.self_test["source"] == "data"
    assert result.self_test["exact"] <= 1e-4
    card = (tmp_path / "whole/README.md").read_text()
    assert "Told by the run." in card
    record = json.loads((tmp_path / "whole/merge.json").read_text())
    assert record["run_id"] == "20260102-030405-finetune-abcd"
    assert set(record["base"]["sha256"]) >= {"config.json", "model-00001-of-00002.safetensors"}
    question = "What is your name?"
    by_job = manager.chat(job.id, question, max_new_tokens=8)
    assert by_job == manager.chat(str(tmp_path / "whole"), question, max_new_tokens=8)
    assert names(tmp_path) == ["state", "whole"]


def test_the_folder_is_beside_the_run_if_none_is_named(manager: ModelManager, place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "runs/first", tmp_path / "runs/first")

    done(manager.merge(str(run / "adapter")))  # the run that it is of is known

    assert is_merged(tmp_path / "runs/first-merged")
    with pytest.raises(BadInput, match="holds an earlier merge"):
        manager.merge(str(run))
    with pytest.raises(BadInput, match="is merged already"):
        manager.merge(str(tmp_path / "runs/first-merged"))


def test_an_adapter_of_somebody_else_is_merged_if_it_names_its_base(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")

    result = done(manager.merge(str(theirs)))

    assert result["self_test"]["source"] == "built-in"
    assert is_merged(tmp_path / "theirs-merged")


def test_a_qlora_is_merged_into_the_weights_that_it_was_trained_on_and_exported_as_it_is(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")

    result = MERGE.read_result(done(manager.merge(str(theirs), base="dequantized")))
    exported = done(manager.export(str(theirs), "safetensors"))

    assert result is not None
    assert result.base == "dequantized"
    assert json.loads((tmp_path / "theirs-merged/merge.json").read_text("utf-8"))["weights"] == "dequantized"
    assert (exported["was_merged"], exported["output_dir"]) == (False, str(tmp_path / "theirs-merged"))
    with pytest.raises(BadInput, match="holds an earlier merge"):
        manager.merge(str(theirs))
    with pytest.raises(BadInput, match="first was not trained in 4 bits"):
        manager.merge(str(place / "runs/first"), tmp_path / "other", base="dequantized")
    with pytest.raises(BadInput, match="base '4bit' is not known") as caught:
        manager.merge(str(theirs), base="4bit")
    assert "original, dequantized" in caught.value.hint


def test_an_adapter_on_a_base_stored_in_4_bits_is_merged_into_the_same_model_in_16_bits(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")
    change_config(theirs, base_model_name_or_path="unsloth/Qwen3-Practice-bnb-4bit")

    with pytest.raises(NotCached, match="unsloth/Qwen3-Practice-bnb-4bit, the base model, is not in the cache"):
        manager.merge(str(theirs))
    job = manager.merge(str(theirs), base=PRACTICE_REPO_ID)

    result = done(job)
    assert (result["base_model"], result["self_test"]["source"]) == (PRACTICE_REPO_ID, "built-in")
    assert is_merged(tmp_path / "theirs-merged")
    card = (tmp_path / "theirs-merged" / "README.md").read_text("utf-8")
    assert "It was trained on unsloth/Qwen3-Practice-bnb-4bit" in card
    with pytest.raises(NotCached, match="Qwen/Qwen3-8B"):
        manager.merge(str(theirs), tmp_path / "other", base="Qwen/Qwen3-8B")


@pytest.mark.parametrize("name", ["", "/home/them/models/qwen", "./model", "C:\\models\\qwen", "../../a"])
def test_a_base_that_is_named_by_a_folder_is_refused(
    manager: ModelManager, place: Path, tmp_path: Path, name: str
) -> None:
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")
    change_config(theirs, base_model_name_or_path=name)

    with pytest.raises(LoadError, match="by no repo id") as caught:
        manager.merge(str(theirs))

    assert error(caught.value, "cli")["hint"].endswith(f"qwen3ft merge {theirs} --base OWNER/NAME")


@pytest.mark.parametrize("name", ["", "/home/me/.cache/modelscope/hub/models/Qwen/Qwen3-8B", "C:\\models\\qwen"])
def test_a_folder_that_is_named_as_base_is_told_to_nobody_who_gets_the_merge(
    manager: ModelManager, place: Path, tmp_path: Path, name: str
) -> None:
    """And that the base answered otherwise is not claimed: it may be the same model."""
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")
    change_config(theirs, base_model_name_or_path=name)

    job = manager.merge(str(theirs), base=PRACTICE_REPO_ID)

    done(job)
    card = (tmp_path / "theirs-merged" / "README.md").read_text("utf-8")
    assert "merged into the base model's weights" in card
    assert "trained on" not in card
    assert job.status().notices == ()


def test_pickles_are_refused(manager: ModelManager, place: Path, tmp_path: Path) -> None:
    theirs = shutil.copytree(place / "runs/first/adapter", tmp_path / "theirs")
    (theirs / "adapter_model.safetensors").rename(theirs / "adapter_model.bin")

    with pytest.raises(UnsafeModel):
        manager.merge(str(theirs))


def test_a_base_that_is_not_here_is_named_with_the_commit_to_download(place: Path, tmp_path: Path) -> None:
    elsewhere = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)

    with pytest.raises(NotCached, match="the base model, is not in the cache") as caught:
        elsewhere.merge(str(place / "runs/first"))

    commit = json.loads((place / "runs/first/config.json").read_text())["base_commit"]
    assert f"download {PRACTICE_REPO_ID}@{commit}" in caught.value.hint


def test_a_base_at_another_commit_is_refused(manager: ModelManager, tmp_path: Path, place: Path) -> None:
    run = shutil.copytree(place / "runs/first", tmp_path / "first")
    record = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**record, "base_commit": "ab" * 20}))

    with pytest.raises(NotCached, match="the adapter was trained on abababababab") as caught:
        manager.merge(str(run))

    assert "ab" * 20 in caught.value.hint


def test_a_base_whose_bytes_have_changed_fails_the_job_with_the_cure(place: Path, tmp_path: Path) -> None:
    cache = shutil.copytree(place / "cache", tmp_path / "cache")
    (folder,) = (path for path in cache.iterdir() if not path.name.startswith("."))
    shard = folder / "model-00002-of-00002.safetensors"
    shard.chmod(0o644)
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    manager = get_model_manager(cache_dir=cache, state_dir=tmp_path / "state", offline=True)

    with pytest.raises(CacheDamaged, match="has changed since it was downloaded") as caught:
        done(manager.merge(str(place / "runs/first"), tmp_path / "whole"))

    assert f"repair {PRACTICE_REPO_ID}" in caught.value.hint
    assert not (tmp_path / "whole").exists()


def test_what_needs_no_merge_says_so(manager: ModelManager, tmp_path: Path) -> None:
    make_run(tmp_path / "full", "full", None)
    shutil.copytree(MODEL_FOLDER, tmp_path / "full/model")

    with pytest.raises(BadInput, match="full is a full fine-tune: its model is whole"):
        manager.merge(str(tmp_path / "full"))
    with pytest.raises(BadInput, match="Qwen3-Practice is a whole model"):
        manager.merge(PRACTICE_REPO_ID)
    with pytest.raises(LoadError, match="holds no adapter"):
        manager.merge(str(MODEL_FOLDER))


def test_what_is_none_is_named(manager: ModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/first").mkdir(parents=True)

    with pytest.raises(UnknownModel, match='no folder "runs/firzt"') as caught:
        manager.merge("runs/firzt")

    assert "runs/first" in caught.value.hint


def test_an_unfinished_run_has_nothing_to_merge(manager: ModelManager, place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "runs/first", tmp_path / "first")
    (run / "result.json").unlink()

    with pytest.raises(LoadError, match="no finished fine-tune"):
        manager.merge(str(run))


def test_two_jobs_do_not_write_to_one_folder_and_the_base_stays(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    waiting(manager)
    job = manager.merge(str(place / "runs/first"), tmp_path / "whole")

    with pytest.raises(BadConfig, match=job.id):
        manager.merge(str(place / "runs/first"), tmp_path / "whole")
    with pytest.raises(LoadError, match="no finished merge"):
        manager.chat(job.id, "hello")

    job.stop()
    assert job.wait(120).state == "stopped"


KILLER = """
import os, signal, sys

def kill(event, arguments):
    if event == "open" and ".whole.merging" in str(arguments[0]) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(kill)
"""
"""Runs at the start of a Python, and ends it where it first writes to the folder of a merge."""


def test_killed_it_leaves_no_model_and_is_resumed(
    manager: ModelManager, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(KILLER)
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "python"), prepend=os.pathsep)
        job = manager.merge(str(place / "runs/first"), tmp_path / "whole")

        assert job.wait(WAIT_S).state in ("failed", "interrupted")
    assert (tmp_path / ".whole.merging").exists()
    assert not list(tmp_path.rglob("config.json"))
    done(job.resume())

    assert is_merged(tmp_path / "whole")
    assert names(tmp_path) == ["python", "state", "whole"]


# Exporting


@pytest.fixture(scope="module")
def whole(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The merged run; tests must not change it."""
    folder = tmp_path_factory.mktemp("whole") / "My first"
    manager = get_model_manager(cache_dir=place / "cache", state_dir=place / "state", offline=True)
    done(manager.merge(str(place / "runs/first"), folder))
    return folder


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("vllm", ["vllm serve '{folder}' --served-model-name my-first --reasoning-parser qwen3"]),
        (
            "sglang",
            [
                (
                    "python -m sglang.launch_server --model-path '{folder}' --served-model-name my-first"
                    " --reasoning-parser qwen3"
                )
            ],
        ),
    ],
)
def test_what_serves_a_folder_is_told_how(manager: ModelManager, whole: Path, to: str, words: list[str]) -> None:
    result = EXPORT.read_result(done(manager.export(str(whole), to)))

    assert result is not None
    assert list(result.commands) == [word.format(folder=whole) for word in words]
    assert (result.output_dir, result.was_merged) == (str(whole), False)


def test_an_adapter_is_merged_for_it_once(manager: ModelManager, place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "runs/first", tmp_path / "first")

    first, second = (done(manager.export(str(run), "safetensors")) for _ in "ab")

    assert (first["was_merged"], second["was_merged"]) == (True, False)
    assert first["output_dir"] == second["output_dir"] == str(tmp_path / "first-merged")


def test_a_cached_model_is_exported_by_its_name(manager: ModelManager, tmp_path: Path) -> None:
    result = done(manager.export(PRACTICE_REPO_ID, "ollama", tmp_path / "out"))

    assert result["commands"][1] == "ollama run qwen3-practice"
    with pytest.raises(NotCached, match="Qwen/Qwen3-8B is not in the cache"):
        manager.export("Qwen/Qwen3-8B", "vllm")


def test_an_export_replaces_its_one_file_only_if_told_and_no_other(manager: ModelManager, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("Modelfile", "notes.txt"):
        (out / name).write_text("mine", "utf-8")

    with pytest.raises(BadInput, match="holds a Modelfile already"):
        manager.export(PRACTICE_REPO_ID, "ollama", out)
    assert (out / "Modelfile").read_text("utf-8") == "mine"
    done(manager.export(PRACTICE_REPO_ID, "ollama", out, overwrite=True))

    assert "FROM" in (out / "Modelfile").read_text("utf-8")
    assert (out / "notes.txt").read_text("utf-8") == "mine"
    assert sorted(path.name for path in out.iterdir()) == ["Modelfile", "notes.txt"]


def test_gguf_is_made_by_the_converter_that_is_installed(
    manager: ModelManager, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / CONVERTER
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        'Path(sys.argv[sys.argv.index("--outfile") + 1]).write_text(repr(sys.argv[1:]))\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)

    result = done(manager.export(str(whole), "gguf", tmp_path / "out"))

    assert result["commands"] == [f"llama-server -m {tmp_path}/out/my-first.gguf --jinja"]
    arguments = (tmp_path / "out/my-first.gguf").read_text()
    assert str(whole) in arguments
    assert "'--outtype', 'bf16'" in arguments
    assert names(tmp_path / "out") == ["my-first.gguf"]
    with pytest.raises(BadInput, match=r"holds a my-first\.gguf already"):
        manager.export(str(whole), "gguf", tmp_path / "out")


def test_a_converter_that_fails_leaves_no_file(
    manager: ModelManager, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / CONVERTER
    script.write_text('#!/bin/sh\necho half > "$4"; echo no such model >&2; exit 3\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    job = manager.export(str(whole), "gguf", tmp_path / "out")

    with pytest.raises(LoadError, match="exit code 3"):
        done(job)

    assert "no such model" in job.log().text
    assert names(tmp_path / "out") == []


def test_without_a_converter_the_commands_are_told(
    manager: ModelManager, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    result = done(manager.export(str(whole), "gguf", tmp_path / "out"))

    assert result["commands"][-2:] == [
        f"python llama.cpp/{CONVERTER} '{whole}' --outfile {tmp_path}/out/my-first.gguf --outtype bf16",
        f"llama-server -m {tmp_path}/out/my-first.gguf --jinja",
    ]


def test_a_target_that_is_none_is_named(manager: ModelManager, whole: Path) -> None:
    with pytest.raises(BadInput, match="to: onnx is not known"):
        manager.export(str(whole), "onnx")


# The command line


def test_the_command_merges_and_exports(place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(place / "runs/first", tmp_path / "runs/first")
    environ = {
        **os.environ,
        "MODEL_CACHE_DIR": str(place / "cache"),
        "QWEN3FT_STATE_DIR": str(tmp_path / "state"),
        "QWEN3FT_OFFLINE": "1",
        "QWEN3FT_LANG": "en",
    }

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "qwen3ft_jupyter", *words]
        return subprocess.run(
            line, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=WAIT_S
        )

    merged = command("merge", "runs/first")
    again = command("merge", "runs/first")
    exported = command("export", "runs/first", "--to", "vllm")

    assert merged.returncode == 0, merged.stderr
    assert merged.stdout.splitlines()[-1] == f"{run}-merged"
    assert "the same next token" in merged.stderr
    assert again.returncode == 1
    assert "bad-input: output_dir: first-merged holds an earlier merge" in again.stderr
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith(f"vllm serve {run}-merged --served-model-name first")
