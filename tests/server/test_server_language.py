"""What is for people is said in the language of the page and in the words of the panel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import NotCached
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.jobs.state import JobStatus
from qwen3ft_jupyter.messages import Command, Language, Message
from qwen3ft_jupyter.work import PHASES, Progress
from tests.server.standin import StandInJob

if TYPE_CHECKING:
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager


@pytest.fixture
def chinese_page(jp_auth_header: dict[str, str]) -> dict[str, str]:
    return {**jp_auth_header, "Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}


async def test_a_job_is_told_in_the_language_of_the_page(
    ask: Ask, manager: StandInManager, chinese_page: dict[str, str]
) -> None:
    waiting = JobStatus(
        "running",
        1,
        progress=Progress(
            "resolving", unit="files", detail=Message("another process: {phase}", phase=PHASES["training"].word)
        ),
        notices=(Message("{count} other downloads go first", count=3), "what an older version wrote"),
        result={"source": Message("mirror {host}", host="x")},
        error={"code": "no-space", "message": Message("{name} is missing.", name="x"), "hint": "Try again."},
    )
    job = StandInJob("20260102-030405-finetune-0001", script=[waiting])
    manager.all_jobs.append(job)

    english = (await ask("get", f"/jobs/{job.id}")).json
    chinese = (await ask("get", f"/jobs/{job.id}", headers=chinese_page)).json

    assert (english["state_words"], chinese["state_words"]) == ("Running", "运行中")
    assert (english["progress"]["phase_words"], chinese["progress"]["phase_words"]) == (
        "Asking the hub",
        "查询模型信息",
    )
    assert (english["progress"]["detail"], chinese["progress"]["detail"]) == (
        "another process: training",
        "另一进程：训练",
    )
    assert english["notices"] == ["3 other downloads go first", "what an older version wrote"]
    assert (english["progress"]["unit_words"], chinese["progress"]["unit_words"]) == ("files", "个文件")
    assert (english["result"], chinese["result"]) == ({"source": "mirror x"}, {"source": "镜像 x"})
    assert chinese["notices"] == ["前面还有 3 个下载", "what an older version wrote"]
    assert chinese["error"] == {"code": "no-space", "message": "缺少 x。", "hint": "请重试。"}


async def test_an_error_names_the_panels_button_in_the_language_of_the_page(
    ask: Ask, manager: StandInManager, monkeypatch: pytest.MonkeyPatch, chinese_page: dict[str, str]
) -> None:
    error = NotCached(
        "{name} is not in the cache.", hint="Download it: {command}", name="a/b", command=Command("download", "a/b")
    )

    def refuse() -> None:
        raise error

    monkeypatch.setattr(manager, "models", refuse)

    english, chinese = (await ask("get", "/models")).json, (await ask("get", "/models", headers=chinese_page)).json

    assert english == {
        "code": "not-cached",
        "message": "a/b is not in the cache.",
        "hint": "Download it: Download a/b",
    }
    assert chinese == {"code": "not-cached", "message": "a/b 不在缓存中。", "hint": "下载：下载 a/b"}


async def test_the_fields_of_a_fine_tune_are_told_in_the_language_of_the_page(
    ask: Ask, jp_auth_header: dict[str, str], chinese_page: dict[str, str]
) -> None:
    pages: list[tuple[dict[str, str], Language]] = [(jp_auth_header, "en"), (chinese_page, "zh")]
    for headers, language in pages:
        answer = await ask("get", "/finetune/schema", headers=headers)
        assert answer.json == FineTuneConfig.json_schema(language)


async def test_models_and_settings_are_told_in_the_language_of_the_page(ask: Ask, chinese_page: dict[str, str]) -> None:
    models = (await ask("get", "/models", headers=chinese_page)).json["models"]
    settings = (await ask("get", "/status", headers=chinese_page)).json["settings"]

    assert models[0]["role"] == models[0]["role_words"] == "快速实验"
    assert models[0]["kind_words"] == "按需思考"
    assert settings[0]["origin"] == "默认值"


async def test_copies_and_plans_are_told_in_the_language_of_the_page(
    ask: Ask, manager: StandInManager, chinese_page: dict[str, str]
) -> None:
    mirror = Message("mirror {host}", host="10.0.0.5:8900")
    manager.plan_answer = {"sources": ("ModelScope", mirror), "to_evict": ("resume",)}

    copies = (await ask("get", "/models/cache/list", headers=chinese_page)).json["models"]
    body = json.dumps({"model_name": "a/b", "dry_run": True})
    plan = (await ask("post", "/models/download", body=body, headers=chinese_page)).json

    assert copies[0]["owner_words"] == "本缓存"
    assert plan["sources"] == ["ModelScope", "镜像 10.0.0.5:8900"]
    assert plan["to_evict"] == ["resume"]


async def test_what_is_told_ahead_of_a_fine_tune_is_in_the_language_of_the_page(
    ask: Ask, manager: StandInManager, chinese_page: dict[str, str]
) -> None:
    manager.looks["plan"]["notices"] = [Message("The cache is empty."), "train.jsonl"]

    answer = await ask("post", "/finetune/plan", body='{"config": {}}', headers=chinese_page)

    assert answer.json["notices"] == ["缓存为空。", "train.jsonl"]
