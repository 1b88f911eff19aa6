"""Merges and exports asked for over HTTP: by the fields, and with the real manager and a real job process."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.finetune.merged import is_merged
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from tests.test_manager_tuned import WAIT_S, make_place

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.asking import Ask
    from tests.server.standin import StandInManager


async def test_a_run_tells_what_it_came_to(ask: Ask, manager: StandInManager) -> None:
    told = await ask("get", "/runs/report", query="run=/runs/first")
    compared = await ask("get", "/runs/compare", query="runs=/runs/first,20260102-030405-finetune-abcd")
    relative = await ask("get", "/runs/compare", query="runs=/runs/first,../second")

    assert told.json["report"]["scores"]["after"]["chrf"] == 100
    assert told.json["report"]["asked"][0]["during"] == {"2": "2"}
    assert compared.json["fields"] == {"epochs": [1.0, 2.0]}
    assert manager.was_asked("compare") == [(("/runs/first", "20260102-030405-finetune-abcd"),)]
    assert relative.code == 400


async def test_curves_are_drawn_in_parts(ask: Ask, manager: StandInManager, tmp_path: Path) -> None:
    rows = [{"step": step, "loss": 5 / step} for step in range(1, 31)]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    whole = await ask("get", "/runs/curves", query=f"run={tmp_path}&points=8")
    part = await ask("get", "/runs/curves", query=f"run={tmp_path}&first=11&last=13")
    new = await ask("get", "/runs/curves", query=f"run={tmp_path}&points=8&after=30")
    relative = await ask("get", "/runs/curves", query="run=./here")

    assert whole.json["last_step"] == 30
    assert whole.json["series"]["loss"]["steps"] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert whole.json["series"]["loss"]["highs"][0] == 5
    assert part.json["series"]["loss"]["steps"] == [11, 12, 13]
    assert (new.json["series"]["loss"]["start"], new.json["series"]["loss"]["steps"]) == (7, [30])
    assert new.json["version"] == whole.json["version"]
    assert relative.code == 400


async def test_a_dry_run_says_what_would_be_and_starts_nothing(ask: Ask, manager: StandInManager) -> None:
    merge = await ask("post", "/runs/merge", query="run=/runs/first&dry_run=true")
    export = await ask("post", "/runs/export", body=json.dumps({"run": "/runs/first", "to": "vllm", "dry_run": True}))
    evaluation = await ask("post", "/runs/evaluate", query="run=/runs/first&dry_run=true&max_length=64")

    assert (merge.code, merge.json["folder"], merge.json["size_bytes"]) == (200, "/runs/first-merged", 1000)
    assert (export.code, export.json["is_done"]) == (200, True)
    assert (evaluation.code, evaluation.json["is_held_out"]) == (200, True)
    assert manager.was_asked("foresee_export") == [("/runs/first", "vllm", None, False)]
    assert manager.was_asked("merge") + manager.was_asked("export") + manager.was_asked("evaluate") == []


async def test_an_evaluation_is_a_job(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/runs/evaluate", query="run=/runs/first")
    await ask("post", "/runs/evaluate", query="run=a/b&data=/data/test.jsonl&max_length=64")
    await ask("post", "/runs/evaluate", query="run=a/b&data=hf:org/talks:zh%23500&at_once=true")
    relative = await ask("post", "/runs/evaluate", query="run=a/b&data=test.jsonl")

    assert (answer.code, answer.json["kind"], relative.code) == (202, "evaluate", 400)
    assert manager.was_asked("evaluate") == [
        ("/runs/first", None, {}, "asks no hub"),
        ("a/b", "/data/test.jsonl", {"max_length": 64}, "asks no hub"),
        ("a/b", "hf:org/talks:zh#500", {}, "at once", "asks no hub"),
    ]


async def test_a_merge_is_a_job(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/runs/merge", query="run=20260102-030405-finetune-abcd")
    given = {"run": "/runs/first", "output_dir": "/models/whole", "base": "dequantized", "overwrite": True}
    await ask("post", "/runs/merge", body=json.dumps(given))

    assert (answer.code, answer.json["kind"]) == (202, "merge")
    assert answer.headers["Location"] == f"/a%40b/qwen3ft/jobs/{answer.json['id']}"
    assert manager.was_asked("merge") == [
        ("20260102-030405-finetune-abcd", None, "original", False),
        ("/runs/first", "/models/whole", "dequantized", True),
    ]


async def test_an_export_is_a_job(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/runs/export", query="run=Qwen/Qwen3-0.6B&to=ollama&output_dir=~/out")
    await ask("post", "/runs/export", query="run=/runs/first")

    assert (answer.code, answer.json["kind"]) == (202, "export")
    assert manager.was_asked("export") == [
        ("Qwen/Qwen3-0.6B", "ollama", "~/out", False),
        ("/runs/first", "safetensors", None, False),
    ]


async def test_a_push_is_a_plan_until_it_is_confirmed(ask: Ask, manager: StandInManager) -> None:
    planned = await ask("post", "/runs/push", query="run=/runs/first&repo_id=me/first")
    body = {"run": "/runs/first", "repo_id": "me/first", "hub": "huggingface", "public": True, "confirm": True}
    started = await ask("post", "/runs/push", body=json.dumps(body))
    without = await ask("post", "/runs/push", query="run=/runs/first")

    assert (planned.code, planned.json["private"], planned.json["problem"]) == (200, True, None)
    assert [file["path"] for file in planned.json["files"]] == ["README.md", "adapter_model.safetensors"]
    assert (started.code, started.json["kind"]) == (202, "push")
    assert without.code == 400
    assert manager.was_asked("push") == [
        ("/runs/first", "me/first", "", True, False),
        ("/runs/first", "me/first", "huggingface", False, True),
    ]


@pytest.mark.parametrize("route", ["merge", "export"])
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("run=./runs/first", "run"),
        ("run=a/b/c", "run"),
        ("run=..%2Ffirst", "run"),
        ("run=/runs/first&output_dir=whole", "output_dir"),
    ],
)
async def test_a_folder_that_depends_on_where_the_server_runs_is_refused(
    ask: Ask, manager: StandInManager, route: str, query: str, name: str
) -> None:
    answer = await ask("post", f"/runs/{route}", query=query)

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert answer.json["message"] == f"{name} must be a whole path."
    assert manager.was_asked(route) == []


class TestForReal:
    @pytest.fixture
    def manager(self, tmp_path: Path) -> ModelManager:
        make_place(tmp_path)
        return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)

    async def test_a_run_is_merged_and_a_second_time_refused(
        self, ask: Ask, manager: ModelManager, tmp_path: Path
    ) -> None:
        run = tmp_path / "runs/first"
        foreseen = await ask("post", "/runs/merge", query=f"run={run}&dry_run=true")
        assert foreseen.json["folder"] == f"{run}-merged"
        assert foreseen.json["size_bytes"] > 10**6
        started = await ask("post", "/runs/merge", query=f"run={run}")
        await asyncio.to_thread(manager.job(started.json["id"]).wait, WAIT_S)

        ended = await ask("get", f"/jobs/{started.json['id']}")
        again = await ask("post", "/runs/merge", query=f"run={run}")
        served = await ask("post", "/runs/export", query=f"run={run}&to=vllm&dry_run=true")
        unknown = await ask("post", "/runs/export", query="run=nothing&to=onnx")

        assert (started.code, ended.json["state"]) == (202, "succeeded"), ended.json
        assert ended.json["result"]["output_dir"] == f"{run}-merged"
        assert is_merged(tmp_path / "runs/first-merged")
        assert (served.json["merges"], served.json["is_done"]) == (False, True)
        assert served.json["folder"] == f"{run}-merged"
        assert (again.code, again.json["code"]) == (400, "bad-input")
        assert str(tmp_path) not in again.json["message"] + again.json["hint"]
        assert (unknown.code, unknown.json["code"]) == (400, "bad-input")
