"""The kinds of jobs: what they are given comes back from disk, and is done under the settings of the starter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter import __main__
from qwen3ft_jupyter.cache.reports import MoveReport, VerifyReport
from qwen3ft_jupyter.download.request import DownloadRequest
from qwen3ft_jupyter.download.result import DownloadResult
from qwen3ft_jupyter.errors import ModelInUse
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.jobs import supervisor, worker
from qwen3ft_jupyter.jobs.kinds import Plain
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.manager import manager as front_door
from qwen3ft_jupyter.manager.kinds import KINDS, MOVE, VERIFY
from qwen3ft_jupyter.manager.params import (
    CheckParams,
    DownloadParams,
    EvaluateParams,
    ExportParams,
    FineTuneParams,
    MergeParams,
    ModelParams,
    MoveParams,
    PushParams,
    Starter,
)
from qwen3ft_jupyter.messages import Message, render
from tests.jobs.following import AT_ONCE_S, start

if TYPE_CHECKING:
    from collections.abc import Callable

STARTER = Starter({"offline": True, "cache_dir": "/models"}, is_trusted=False)
CONFIG = {"model": "Qwen/Qwen3-0.6B", "output_dir": "/home/me/out", "data": ["/home/me/rows.jsonl"]}
PARAMS: dict[str, ModelParams] = {
    "download": DownloadParams(STARTER, DownloadRequest.of("acme/Tiny-1", revision="v1", sources=["disk"])),
    "verify": CheckParams(STARTER, "acme/Tiny-1", "v1"),
    "repair": CheckParams(STARTER, "acme/Tiny-1"),
    "move": MoveParams(STARTER, Path("/data/models")),
    "finetune": FineTuneParams(STARTER, CONFIG, "cuda:1"),
    "merge": MergeParams(
        STARTER, Path("/home/me/out"), "acme/Tiny-1", Path("/home/me/out-merged"), True, "dequantized"
    ),
    "export": ExportParams(STARTER, "/home/me/out", "acme/Tiny-1", "gguf", Path("/home/me/out-gguf")),
    "evaluate": EvaluateParams(STARTER, "/home/me/out", "acme/Tiny-1", CONFIG, is_held_out=True),
    "push": PushParams(STARTER, Path("/home/me/out"), "modelscope", "me/out"),
}
GIVEN = {"settings": {"offline": True, "cache_dir": "/models"}, "is_trusted": False}
WRITTEN: dict[str, dict[str, Any]] = {
    "download": {
        "model_name": "acme/Tiny-1",
        "force": False,
        "revision": "v1",
        "update": False,
        "sources": ["disk"],
        "in_place": False,
    },
    "verify": {"model_name": "acme/Tiny-1", "revision": "v1"},
    "repair": {"model_name": "acme/Tiny-1", "revision": None},
    "move": {"model_name": "", "target": "/data/models"},
    "finetune": {"config": CONFIG, "gpu": "cuda:1"},
    "merge": {
        "model_name": "acme/Tiny-1",
        "source": "/home/me/out",
        "output_dir": "/home/me/out-merged",
        "overwrite": True,
        "base": "dequantized",
    },
    "export": {
        "model_name": "acme/Tiny-1",
        "source": "/home/me/out",
        "to": "gguf",
        "overwrite": False,
        "output_dir": "/home/me/out-gguf",
    },
    "evaluate": {
        "model_name": "acme/Tiny-1",
        "source": "/home/me/out",
        "config": CONFIG,
        "is_held_out": True,
        "gpu": "",
    },
    "push": {
        "model_name": "",
        "source": "/home/me/out",
        "hub": "modelscope",
        "repo_id": "me/out",
        "private": True,
    },
}
"""As every version has written them."""


@pytest.mark.parametrize(
    ("kind", "params", "title"),
    [
        ("download", DownloadParams(STARTER, DownloadRequest.of("a/b")), "Download a/b"),
        ("download", DownloadParams(STARTER, DownloadRequest.of("a/b", update=True)), "Update a/b"),
        ("download", DownloadParams(STARTER, DownloadRequest.of("a/b", revision="v1.1")), "Download a/b (v1.1)"),
        ("verify", CheckParams(STARTER, "a/b", "c0ffee42" * 5), "Verify a/b (c0ffee42)"),
        ("verify", CheckParams(STARTER, "a/b"), "Verify a/b"),
        ("repair", CheckParams(STARTER, "a/b"), "Repair a/b"),
        ("move", MoveParams(STARTER, Path("/data/models")), "Move the cache → models"),
        ("finetune", FineTuneParams(STARTER, CONFIG), "Fine-tune Qwen/Qwen3-0.6B → out"),
        ("merge", MergeParams(STARTER, Path("/runs/first"), "a/b", Path("/x/whole")), "Merge first → whole"),
        ("export", ExportParams(STARTER, "/runs/first", "a/b", "vllm"), "Export first → vllm"),
        ("export", ExportParams(STARTER, "a/b", "a/b", "gguf"), "Export a/b → gguf"),
        ("evaluate", EvaluateParams(STARTER, "/runs/first", "a/b", CONFIG), "Evaluate first"),
        ("push", PushParams(STARTER, Path("/runs/first"), "modelscope", "me/x"), "Push first → me/x"),
    ],
)
def test_a_title_says_what_is_done_to_which_revision(kind: str, params: ModelParams, title: str) -> None:
    assert KINDS[kind].title(params) == title


@pytest.fixture
def requeue(tmp_path: Path) -> Callable[[str, dict[str, Any]], Path]:
    """Write a job that waits to be run by this process."""

    def write(kind: str, params: dict[str, Any]) -> Path:
        job = start(JobStore(tmp_path, worker=[sys.executable, "-c", "0"]), kind, params)
        job.wait(120)
        supervisor.write_status(job.folder, {"attempt": 1, "state": "queued"})
        return job.folder

    return write


def test_every_kind_is_here() -> None:
    assert set(KINDS) == set(PARAMS) == set(WRITTEN)


@pytest.mark.parametrize("kind", KINDS)
def test_params_are_written_as_ever_and_read_back(kind: str) -> None:
    params = PARAMS[kind]

    assert params.to_dict() == {**WRITTEN[kind], **GIVEN}
    assert KINDS[kind].read_params(params.to_dict()) == params


@pytest.mark.parametrize("kind", KINDS)
def test_params_of_other_versions_are_read(kind: str) -> None:
    older = KINDS[kind].read_params(WRITTEN[kind])
    newer = KINDS[kind].read_params({**WRITTEN[kind], **GIVEN, "something": "new"})

    assert older == type(PARAMS[kind]).from_dict({**WRITTEN[kind], "settings": {}, "is_trusted": True})
    assert newer == PARAMS[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_params_that_cannot_be_read_are_kept_as_they_are(kind: str) -> None:
    assert KINDS[kind].read_params({"unlike": "any"}) == Plain({"unlike": "any"})


def test_model_of_a_job_of_another_version_is_in_use(tmp_path: Path) -> None:
    manager = get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state")
    worker_command = [sys.executable, "-c", "import time; time.sleep(600)"]
    manager.job_store = JobStore(tmp_path / "state", KINDS, worker=worker_command)
    job = start(manager.job_store, "quantize", {"model_name": "acme/Tiny-1"}, grace_s=AT_ONCE_S)

    with pytest.raises(ModelInUse, match=job.id):
        manager.move_cache(tmp_path / "elsewhere")

    job.stop()
    assert job.wait(120).state == "stopped"


def test_result_of_a_check_is_read_back() -> None:
    report = VerifyReport(parse_repo_id("acme/Tiny-1"), 9, 1500, missing=("a",), wrong=(), extra=("b", "c"))

    assert VERIFY.read_result(report.to_dict()) == report
    assert VERIFY.read_result({"unlike": "any"}) is None
    assert VERIFY.read_result(None) is None


def test_result_of_a_move_is_read_back_with_the_reasons_for_what_stayed() -> None:
    report = MoveReport("/old", "/new", ("a_b",), (("notes", Message("it is no model of this cache")),), 1500)

    again = MOVE.read_result(json.loads(json.dumps(report.to_dict())))

    assert again == report
    assert again is not None
    assert render(again.left[0][1], "zh") != "it is no model of this cache"


def test_job_is_done_under_the_starters_settings(
    requeue: Callable[[str, dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened, asked = [], []

    def ensure(**wanted: Any) -> SimpleNamespace:
        asked.append(wanted)
        return SimpleNamespace(result=lambda: DownloadResult("/models/acme_Tiny-1"))

    def open_manager(**settings: Any) -> SimpleNamespace:
        opened.append(settings)
        return SimpleNamespace(ensure=ensure, job_store=JobStore(tmp_path))

    monkeypatch.setattr(front_door, "get_model_manager", open_manager)
    folder = requeue("download", {"model_name": "acme/Tiny-1", "settings": {"offline": True}})

    assert worker.main(str(folder), KINDS) == worker.SUCCEEDED

    assert opened == [{"offline": True, "is_trusted": True}]
    assert asked[0]["model_name"] == "acme/Tiny-1"
    assert supervisor.read_status(folder)["result"]["folder"] == "/models/acme_Tiny-1"


def test_job_process_comes_up_from_a_checkout_that_is_on_nobodys_search_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    job = start(JobStore(tmp_path), "dance", {}, title="Dance", cwd=tmp_path)

    error = job.wait(120).error

    assert error is not None, job.log().text
    assert "no job of the kind dance" in error["message"]


def test_run_of_a_folder_that_is_no_job_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["qwen3ft", "run", str(tmp_path)])

    assert __main__.main() == worker.FAILED
    assert "job-not-found" in capsys.readouterr().err


def test_job_process_does_without_the_command_line(requeue: Callable[[str, dict[str, Any]], Path]) -> None:
    folder = requeue("dance", {})
    code = (
        "import sys; from qwen3ft_jupyter import __main__\n"
        "sys.argv[1:] = ['run', sys.argv[1]]; __main__.main()\n"
        "print(*(name for name in ('argparse', 'qwen3ft_jupyter.cli') if name in sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
