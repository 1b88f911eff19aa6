"""Each route does its one thing; `ask` checks every answer against openapi.yaml."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import quote

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.server import access, base
from tests.server.standin import (
    DONE,
    FAILED,
    HALFWAY,
    HOSTILE,
    NAME,
    QUEUED,
    SLUG,
    StandInJob,
    cached_row,
    model_row,
    plan_dict,
)

if TYPE_CHECKING:
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

JOB = "20260102-030405-download-0000"


@pytest.fixture
def job(manager: StandInManager) -> StandInJob:
    job = StandInJob(JOB)
    manager.all_jobs.append(job)
    return job


# status and models


async def test_status_says_which_hub_and_why(ask: Ask) -> None:
    answer = await ask("get", "/status")

    assert answer.code == 200
    assert answer.json["settings"][0] == {
        "name": "USE_MODELSCOPE",
        "value": "true",
        "origin": "default",
        "help": "Ask ModelScope first.",
    }


async def test_models_are_the_managers(ask: Ask, manager: StandInManager) -> None:
    manager.catalogue.append(model_row("me/mine", parameters=None, memory_bytes=None, catalogued=False, job_id="x"))

    answer = await ask("get", "/models")

    roles = ("Quick experiments", "Recommended for production", "Quick experiments")
    assert answer.json["models"] == [
        {**row, "role_words": role, "kind_words": "Thinks on demand"}
        for row, role in zip(manager.catalogue, roles, strict=True)
    ]


async def test_html_in_a_name_stays_json(ask: Ask, manager: StandInManager) -> None:
    manager.catalogue.append(model_row(HOSTILE))

    answer = await ask("get", "/models")

    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json["models"][-1]["model_name"] == HOSTILE


# download


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("model_name=Qwen/Qwen3-4B&force=true&revision=v1", None),
        ("model_name=Qwen%2FQwen3-4B&force=yes&revision=v1", "{}"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "force": true, "revision": "v1"}'),
        ("", '{"model_name": "Qwen/Qwen3-4B", "force": "on", "revision": "v1"}'),
        ("force=1", '{"model_name": " Qwen/Qwen3-4B ", "revision": "v1"}'),
        ("1731931321000", '{"model_name": "Qwen/Qwen3-4B", "force": 1, "revision": "v1"}'),
    ],
)
async def test_a_download_is_asked_for_in_the_query_or_in_the_body(
    ask: Ask, manager: StandInManager, query: str, body: str | None
) -> None:
    answer = await ask("post", "/models/download", query=query, body=body)

    assert answer.code == 202
    assert answer.headers["Location"] == f"/a%40b/qwen3ft/jobs/{answer.json['id']}"
    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", {"force": True, "revision": "v1"})]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("update=1&sources=modelscope,mirrors&in_place=yes&max_speed=20000000", '{"model_name": "Qwen/Qwen3-4B"}'),
        (
            "model_name=Qwen/Qwen3-4B",
            '{"update": true, "sources": ["modelscope", "mirrors"], "in_place": 1, "max_speed": 20000000}',
        ),
        (
            "model_name=Qwen/Qwen3-4B&update=on",
            '{"sources": "modelscope, mirrors", "in_place": true, "max_speed": 2e7}',
        ),
    ],
)
async def test_every_wish_for_a_download_is_passed_on(ask: Ask, manager: StandInManager, query: str, body: str) -> None:
    answer = await ask("post", "/models/download", query=query, body=body.replace("2e7", "20000000"))

    wishes = {"update": True, "sources": ["modelscope", "mirrors"], "in_place": True, "max_speed": 20_000_000}
    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", wishes)]
    assert answer.json["controls"] == {"paused": False, "max_speed": 20_000_000}


async def test_a_speed_of_nothing_is_no_wish(ask: Ask, manager: StandInManager) -> None:
    await ask("post", "/models/download", query="model_name=Qwen/Qwen3-4B&max_speed=0")

    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", {})]


async def test_a_dry_run_says_what_would_travel_and_starts_nothing(ask: Ask, manager: StandInManager) -> None:
    wishes = {"update": True, "revision": "v2", "sources": ["disk"], "in_place": True}
    body = {"model_name": NAME, "dry_run": True, "max_speed": 5, **wishes}

    answer = await ask("post", "/models/download", body=json.dumps(body))

    assert (answer.code, answer.json) == (200, plan_dict(NAME))
    assert manager.was_asked("plan") == [(NAME, {**wishes, "max_speed": 5})]
    assert manager.all_jobs == []


async def test_a_plan_that_does_not_fit_is_answered_with_what_is_missing(ask: Ask, manager: StandInManager) -> None:
    manager.plan_answer = {
        "missing_bytes": 10**9,
        "has_room": False,
        "quota": 2 * 10**11,
        "over_quota_bytes": 7,
        "to_evict": ["Qwen/Qwen3-8B"],
        "evictable": [("Qwen/Qwen3-14B", 3 * 10**10)],
        "rate": None,
        "seconds": None,
    }

    answer = await ask("post", "/models/download", query=f"model_name={NAME}&dry_run=true")

    assert answer.json["evictable"] == [["Qwen/Qwen3-14B", 30_000_000_000]]
    assert answer.json["missing_bytes"] == 1_000_000_000


async def test_a_hub_that_hangs_keeps_nobody_else_waiting(ask: Ask, manager: StandInManager) -> None:
    manager.gate, manager.gated = threading.Event(), {"plan"}
    stuck = [
        asyncio.ensure_future(ask("post", "/models/download", query=f"model_name={NAME}&dry_run=1")) for _ in range(6)
    ]
    await asyncio.to_thread(manager.is_blocked.wait, 120)

    listed = await asyncio.wait_for(ask("get", "/models"), 120)
    started = await asyncio.wait_for(ask("post", "/models/download", query="model_name=Qwen/Qwen3-4B"), 120)

    assert (listed.code, started.code) == (200, 202)
    assert not any(request.done() for request in stuck)
    manager.gate.set()
    assert {answer.code for answer in await asyncio.wait_for(asyncio.gather(*stuck), 120)} == {200}


@pytest.mark.parametrize(
    ("path", "asked", "body"),
    [
        (f"models/download?model_name={NAME}&dry_run=1", "plan", b""),
        ("finetune/plan", "look_ahead", b'{"config": {}}'),
        ("finetune/preview", "look_ahead", b'{"config": {}}'),
        ("finetune", "look_ahead", b'{"config": {}}'),
    ],
)
async def test_nothing_goes_on_for_someone_who_has_left(
    http_server: Any, jp_base_url: str, jp_auth_header: dict[str, str], manager: StandInManager,
    monkeypatch: pytest.MonkeyPatch, *, path: str, asked: str, body: bytes,
) -> None:  # fmt: skip
    """No hub is asked any longer, and no data read."""
    is_asked, has_stopped = threading.Event(), threading.Event()

    def wait(*_wanted: object, stop: threading.Event, **_wishes: object) -> None:
        is_asked.set()
        if stop.wait(120):
            has_stopped.set()
        raise Stopped("stopped")

    monkeypatch.setattr(manager, asked, wait)
    _, writer = await asyncio.open_connection("127.0.0.1", http_server_port(http_server))
    writer.write(
        f"POST {jp_base_url}qwen3ft/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {jp_auth_header['Authorization']}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    assert await asyncio.to_thread(is_asked.wait, 120)

    writer.close()

    assert await asyncio.to_thread(has_stopped.wait, 120)


async def test_the_location_of_a_download_leads_to_its_job(ask: Ask) -> None:
    started = await ask("post", "/models/download", query="model_name=Qwen/Qwen3-4B")

    followed = await ask("get", started.headers["Location"].removeprefix("/a%40b/qwen3ft"))

    assert (followed.code, followed.json["id"]) == (200, started.json["id"])


async def test_a_cached_model_is_answered_at_once(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/models/download", body=json.dumps({"model_name": NAME}))

    assert answer.code == 200
    said = {"owner_words": "This cache", "browser_path": None}
    assert answer.json == {"status": "cached", **cached_row(NAME), **said}
    assert manager.was_asked("download") == []


@pytest.mark.parametrize(
    ("wish", "changes"),
    [
        ({"force": True}, {}),
        ({"update": True}, {}),
        ({"revision": "v2"}, {}),
        ({"revision": "master"}, {}),
        ({}, {"verified": False}),
    ],
    ids=["force", "update", "another revision", "a branch that may have moved on", "not verified"],
)
async def test_a_cached_model_is_downloaded_all_the_same_when(
    ask: Ask, manager: StandInManager, wish: dict[str, Any], changes: dict[str, Any]
) -> None:
    manager.cached = [cached_row(NAME, **changes)]

    answer = await ask("post", "/models/download", body=json.dumps({"model_name": NAME, **wish}))

    assert answer.code == 202
    assert len(manager.was_asked("download")) == 1


@pytest.mark.parametrize(
    ("query", "body", "named"),
    [
        ("", None, "model_name is missing"),
        ("", '{"model_name": null}', "model_name is missing"),
        ("", "nonsense", "not JSON"),
        ("", b"\xff\xfe", "not JSON"),
        ("", "[" * 100_000, "not JSON"),
        ("", '"Qwen/Qwen3-4B"', "not a JSON object"),
        ("", "[]", "not a JSON object"),
        ("", "null", "not a JSON object"),
        ("", '{"model_name": 5}', "model_name"),
        ("", '{"model_name": ""}', "model_name"),
        ("", '{"model_name": ["Qwen/Qwen3-4B"]}', "model_name"),
        ("", '{"model_name": "a\\u0000b"}', "model_name"),
        ("", '{"model_name": "' + "a" * 600 + '"}', "model_name"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "force": "perhaps"}', "force"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "force": 2}', "force"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "update": "perhaps"}', "update"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "sources": []}', "sources"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "sources": "modelscope,,disk"}', "sources"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "sources": ["modelscope", 5]}', "sources"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "sources": {"modelscope": 1}}', "sources"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "max_speed": "20MB"}', "max_speed"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "max_speed": -1}', "max_speed"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "max_speed": true}', "max_speed"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "dry_run": "perhaps"}', "dry_run"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "endpoint": "http://example.org"}', "'endpoint'"),
        ("model_name=Qwen/Qwen3-4B&cache_dir=/etc", None, "'cache_dir'"),
        ("model_name=Qwen/Qwen3-4B&model_name=Qwen/Qwen3-8B", None, "'model_name' is given more than once"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "model_name": "Qwen/Qwen3-8B"}', "'model_name' is given more than once"),
        ("", '{"model_name": "Qwen/Qwen3-4B", "force": true, "force": false}', "'force' is given more than once"),
        ("", '{"model_name": "\\ud800/a"}', "half of a character"),
        ("", '{"\\udc00": 1}', "half of a character"),
        ("model_name=Qwen/Qwen3-4B", '{"model_name": "Qwen/Qwen3-8B"}', "both"),
        ("model_name=%FF", None, "not UTF-8"),
    ],
)
async def test_a_malformed_asked_withis_refused_by_name(
    ask: Ask, manager: StandInManager, query: str, body: Any, named: str
) -> None:
    answer = await ask("post", "/models/download", query=query, body=body)

    assert answer.code == 400
    assert answer.json["code"] == "bad-input"
    assert named in answer.json["message"]
    assert manager.asked_by_clients == []


@pytest.mark.parametrize(
    "path",
    [
        *(f"/jobs/{JOB}/{verb}" for verb in ("stop", "pause", "resume")),
        *(f"/models/cache/{SLUG}/{verb}" for verb in ("pin", "repair")),
    ],
)
async def test_a_asked_withthat_takes_nothing_refuses_what_it_is_given(ask: Ask, path: str) -> None:
    answer = await ask("post", path, body='{"signal": 9}')

    assert answer.code == 400
    assert "'signal'" in answer.json["message"]


async def test_a_body_that_announces_too_much_is_refused_unread(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/models/download", body=b" " * (base.MAX_BODY_BYTES + 1))

    assert (answer.code, answer.json["code"]) == (413, "body-too-large")
    assert manager.asked_by_clients == []


async def test_a_body_that_announces_no_length_is_kept_up_to_the_limit(
    http_server: Any, jp_base_url: str, jp_auth_header: dict[str, str]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http_server_port(http_server))
    writer.write(
        f"POST {jp_base_url}qwen3ft/models/download HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: {jp_auth_header['Authorization']}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    for _ in range(20):
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    writer.write(b"0\r\n\r\n")
    await writer.drain()

    answer = await asyncio.wait_for(reader.read(), 120)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in answer


def http_server_port(http_server: Any) -> int:
    return int(next(iter(http_server._sockets.values())).getsockname()[1])


# cache


async def test_the_cache_is_listed_with_owners_and_room(ask: Ask, manager: StandInManager) -> None:
    manager.cached.append(cached_row("me/mine", size=5, shared=True, owner="shared", verified=False, hub=None))
    manager.cached.append(cached_row("me/other", slug="huggingface:me_other", size=7, owner="huggingface", hub=None))

    answer = await ask("get", "/models/cache/list")

    assert answer.json == {
        "models": [
            {**row, "owner_words": words, "browser_path": None}
            for row, words in zip(manager.cached, ("This cache", "Shared", "Hugging Face cache"), strict=True)
        ],
        "total": 2,
        "total_size": 1_500_000_005,
        "cache_dir": str(manager.settings.cache_dir),
        "used": 1_500_000_000,
        "free": 500_000_000_000,
        "quota": 200_000_000_000,
        "incoming": 1_000_000_000,
        "unfinished": [],
        "datasets": 0,
        "datasets_size": 0,
    }


async def test_one_model_is_deleted_by_its_slug(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("delete", f"/models/cache/{SLUG}")

    assert answer.json == {"evicted": [SLUG], "freed": 1_500_000_000}
    assert manager.was_asked("evict_slug") == [(SLUG, None)]


async def test_what_a_deletion_keeps_is_answered_and_goes_only_if_told(ask: Ask, manager: StandInManager) -> None:
    manager.kept = ("notes.txt", "checkpoints/")
    rows = list(manager.cached)

    answer = await ask("delete", f"/models/cache/{SLUG}")
    manager.cached = rows
    told = await ask("delete", f"/models/cache/{SLUG}?everything=true")

    assert answer.json["left"] == [f"{SLUG}/notes.txt", f"{SLUG}/checkpoints/"]
    assert "left" not in told.json
    assert manager.was_asked("evict_slug") == [(SLUG, None), (SLUG, None, "everything")]


@pytest.mark.parametrize("slug", ["huggingface:me_other@0123abcd", "huggingface%3Ame_other%400123abcd"])
async def test_another_tools_copy_is_deleted_only_when_its_owner_is_named(
    ask: Ask, manager: StandInManager, slug: str
) -> None:
    manager.cached.append(cached_row("me/other", slug="huggingface:me_other@0123abcd", size=7, owner="huggingface"))

    refused = await ask("delete", f"/models/cache/{slug}")
    deleted = await ask("delete", f"/models/cache/{slug}", query="owner=huggingface")

    assert (refused.code, refused.json["code"]) == (409, "cache-not-writable")
    assert deleted.json == {"evicted": ["huggingface:me_other@0123abcd"], "freed": 7}


@pytest.mark.parametrize("owner", ["qwen3ft", "shared", "me", "..", "HuggingFace"])
async def test_an_owner_of_no_copies_is_refused_by_name(ask: Ask, manager: StandInManager, owner: str) -> None:
    answer = await ask("delete", f"/models/cache/{SLUG}", query=f"owner={owner}")

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert "owner" in answer.json["message"]
    assert manager.asked_by_clients == []


async def test_a_model_is_pinned_and_unpinned_by_its_slug(ask: Ask, manager: StandInManager) -> None:
    pinned = await ask("post", f"/models/cache/{SLUG}/pin")
    unpinned = await ask("delete", f"/models/cache/{SLUG}/pin")

    assert pinned.json == {"model_name": NAME, "pinned": True}
    assert unpinned.json == {"model_name": NAME, "pinned": False}
    assert manager.was_asked("pin") == [(NAME, True, "0" * 40), (NAME, False, "0" * 40)]


@pytest.mark.parametrize(("query", "speed"), [("", None), ("max_speed=0", None), ("max_speed=5000000", 5_000_000)])
@pytest.mark.parametrize("kind", ["verify", "repair"])
async def test_a_check_or_repair_is_a_job_as_slow_as_wished(
    ask: Ask, manager: StandInManager, kind: str, query: str, speed: int | None
) -> None:
    answer = await ask("post", f"/models/cache/{SLUG}/{kind}", query=query)

    assert (answer.code, answer.json["kind"]) == (202, kind)
    assert answer.headers["Location"] == f"/a%40b/qwen3ft/jobs/{answer.json['id']}"
    assert manager.was_asked(f"start_{kind}") == [(NAME, "0" * 40, speed)]


async def test_what_a_move_would_do_is_told_and_nothing_is_started(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/models/cache/move", body=json.dumps({"folder": "/data/models", "dry_run": True}))

    assert (answer.code, answer.json["bytes_to_copy"], answer.json["stays"]) == (200, 1500, ["notes.txt"])
    assert answer.json["origin"] == "environment (MODEL_CACHE_DIR)"
    assert manager.asked_by_clients == [("plan_move", Path("/data/models"))]


async def test_a_move_is_a_job(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/models/cache/move", body=json.dumps({"folder": "~/models"}))

    assert (answer.code, answer.json["kind"]) == (202, "move")
    assert answer.headers["Location"] == f"/a%40b/qwen3ft/jobs/{answer.json['id']}"
    assert manager.was_asked("start_move") == [(Path.home() / "models",)]


@pytest.mark.parametrize(
    "folder", ["", "   ", "models", "./models", "https://example.org/models", "$NOWHERE/models", "C:\\m"]
)
@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_cache_moves_only_to_a_whole_path(
    ask: Ask, manager: StandInManager, folder: str, *, dry_run: bool
) -> None:
    answer = await ask("post", "/models/cache/move", body=json.dumps({"folder": folder, "dry_run": dry_run}))

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert "folder" in answer.json["message"]
    assert manager.asked_by_clients == []


async def test_all_means_all_and_not_a_model_of_that_name(ask: Ask, manager: StandInManager) -> None:
    manager.cached.append(cached_row("x/all", slug="all", size=1))
    manager.cached.append(cached_row(NAME, slug="Qwen--Qwen3-0.6B", size=2))
    manager.cached.append(cached_row("me/mine", shared=True))

    answer = await ask("delete", "/models/cache/all")

    assert answer.json == {
        "evicted": [SLUG, "all", "Qwen--Qwen3-0.6B"],
        "freed": 1_500_000_003,
        "kept": ["a/b stays: it is pinned."],
    }
    assert manager.was_asked("evict_slug") == []


@pytest.mark.parametrize(
    "slug",
    [
        "..%2f..%2fetc",
        "..%5c..",
        "%2e%2e",
        ".",
        "Qwen%2FQwen3-0.6B",
        "Qwen_Qwen3-0.6B%00",
        "%F0%9F%92%A9",
        "qwen_qwen3-0.6b",
    ],
)
@pytest.mark.parametrize(
    ("verb", "tail"), [("delete", ""), ("post", "/pin"), ("delete", "/pin"), ("post", "/verify"), ("post", "/repair")]
)
async def test_a_slug_is_compared_and_never_becomes_a_path(
    ask: Ask, manager: StandInManager, slug: str, verb: str, tail: str
) -> None:
    answer = await ask(verb, f"/models/cache/{slug}{tail}")

    assert (answer.code, answer.json["code"]) == (404, "not-cached")
    assert len(manager.cached) == 1
    assert manager.all_jobs == []


# jobs


async def test_jobs_are_listed(ask: Ask, manager: StandInManager, job: StandInJob) -> None:
    failed = StandInJob("20260102-030405-finetune-0001", script=[FAILED], created=2.0)
    manager.all_jobs.insert(0, failed)

    answer = await ask("get", "/jobs")

    assert [row["id"] for row in answer.json["jobs"]] == [failed.id, job.id]
    assert answer.json["jobs"][0]["error"] == {"code": "no-space", "message": "No room.", "hint": "Free 1 GB."}


async def test_a_job_forgotten_while_the_list_is_made_is_left_out(
    ask: Ask, manager: StandInManager, job: StandInJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "jobs", lambda: [job])
    job.is_forgotten = True

    answer = await ask("get", "/jobs")

    assert answer.json == {"jobs": []}


async def test_a_job_is_followed_with_its_curve(ask: Ask, job: StandInJob) -> None:
    job.script = [HALFWAY]
    job.metrics = [{"step": step, "loss": 1 / (step + 1)} for step in range(1000)]

    answer = await ask("get", f"/jobs/{JOB}")

    steps = [point["step"] for point in answer.json["metrics"]]
    assert (len(steps), steps[0], steps[-1]) == (200, 0, 999)
    assert answer.json["progress"]["done"] == 500_000_000


async def test_a_job_is_followed_without_its_curve(ask: Ask, job: StandInJob) -> None:
    job.metrics = [{"step": 1, "loss": 2.0}]

    answer = await ask("get", f"/jobs/{JOB}", query="metrics=false")

    assert answer.json["id"] == JOB
    assert "metrics" not in answer.json


async def test_metrics_are_asked_for_after_the_last_answer(ask: Ask, job: StandInJob) -> None:
    job.metrics = [{"step": step, "loss": 1 / (step + 1)} for step in range(1000)]

    whole = await ask("get", f"/jobs/{JOB}/metrics")
    nothing = await ask("get", f"/jobs/{JOB}/metrics", query=f"after={whole.json['next_after']}")
    job.metrics += [{"step": 1000, "loss": 0.5}, {"step": 1001, "loss": float("nan")}]
    news = await ask("get", f"/jobs/{JOB}/metrics", query=f"after={whole.json['next_after']}")

    steps = [point["step"] for point in whole.json["metrics"]]
    assert (len(steps), steps[0], steps[-1]) == (200, 0, 999)
    assert nothing.json == {"metrics": [], "next_after": 1000}
    assert news.json == {
        "metrics": [{"step": 1000, "loss": 0.5}, {"step": 1001, "loss": None}],
        "next_after": 1002,
    }


async def test_what_a_browser_polls_reads_only_what_is_new(
    ask: Ask, job: StandInJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = mock.Mock(wraps=job.events)
    monkeypatch.setattr(job, "events", events)
    job.metrics = [{"step": step} for step in range(500)]

    await ask("get", f"/jobs/{JOB}")
    job.metrics.append({"step": 500})
    answer = await ask("get", f"/jobs/{JOB}")
    await ask("get", f"/jobs/{JOB}", query="metrics=false")

    assert events.call_args_list == [mock.call(0), mock.call(500)]
    assert answer.json["metrics"][-1] == {"step": 500}


async def test_a_diverged_loss_does_not_spoil_the_answer(ask: Ask, job: StandInJob) -> None:
    job.metrics = [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": float("inf")}]

    answer = await ask("get", f"/jobs/{JOB}")

    assert b"NaN" not in answer.body
    assert answer.json["metrics"] == [{"step": 1, "loss": None}, {"step": 2, "loss": None}]


async def test_a_log_is_read_from_an_offset(ask: Ask, job: StandInJob) -> None:
    job.text = "你好\nsecond line\n"

    first = await ask("get", f"/jobs/{JOB}/log")
    rest = await ask("get", f"/jobs/{JOB}/log", query="offset=7")

    assert first.json == {"text": "你好\nsecond line\n", "next_offset": 19}
    assert rest.json == {"text": "second line\n", "next_offset": 19}


async def test_the_end_of_a_log_is_read_at_once(ask: Ask, job: StandInJob) -> None:
    job.text = "".join(f"line {number}\n" for number in range(50_000))

    last = await ask("get", f"/jobs/{JOB}/log", query="end=22")
    most = await ask("get", f"/jobs/{JOB}/log", query=f"end={10**9}")

    assert last.json == {"text": "line 49998\nline 49999\n", "next_offset": len(job.text)}
    assert most.json == {"text": job.text, "next_offset": len(job.text)}


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "1e3", "", "٣", "9" * 30])
async def test_an_offset_is_a_whole_number(ask: Ask, job: StandInJob, offset: str) -> None:
    answer = await ask("get", f"/jobs/{JOB}/log", query=f"offset={offset}")

    assert (answer.code, answer.json["code"]) == (400, "bad-input")


async def test_a_job_is_stopped_and_resumed_and_forgotten(ask: Ask, job: StandInJob) -> None:
    stopped = await ask("post", f"/jobs/{JOB}/stop")
    assert (stopped.code, stopped.json["state"]) == (200, "stopping")

    too_early = await ask("delete", f"/jobs/{JOB}")
    assert (too_early.code, too_early.json["code"]) == (409, "wrong-job-state")

    job.wait()
    resumed = await ask("post", f"/jobs/{JOB}/resume")
    assert (resumed.code, resumed.json["attempt"]) == (202, 2)
    assert resumed.headers["Location"] == f"/a%40b/qwen3ft/jobs/{JOB}"

    job.script = [DONE]
    forgotten = await ask("delete", f"/jobs/{JOB}")
    assert (forgotten.code, forgotten.body) == (204, b"")

    gone = await ask("get", f"/jobs/{JOB}")
    assert (gone.code, gone.json["code"]) == (404, "job-not-found")


async def test_a_job_is_paused_and_resumed(ask: Ask, job: StandInJob) -> None:
    job.script, job.controls = [HALFWAY], {"paused": False, "max_speed": 7}

    paused = await ask("post", f"/jobs/{JOB}/pause")
    assert (paused.code, paused.json["state"]) == (200, "running")
    assert paused.json["controls"] == {"paused": True, "max_speed": 7}

    resumed = await ask("post", f"/jobs/{JOB}/resume")
    assert (resumed.code, resumed.json["attempt"]) == (202, 1)
    assert resumed.json["controls"] == {"paused": False, "max_speed": 7}


@pytest.mark.parametrize(
    ("query", "body", "speed"),
    [
        ("max_speed=20000000", None, 20_000_000),
        ("", '{"max_speed": 1}', 1),
        ("max_speed=0", None, None),
        ("", '{"max_speed": 0}', None),
    ],
)
async def test_the_speed_of_a_job_is_changed(
    ask: Ask, job: StandInJob, query: str, body: str | None, speed: int | None
) -> None:
    job.script, job.controls = [HALFWAY], {"paused": False, "max_speed": 7}

    answer = await ask("post", f"/jobs/{JOB}/limit", query=query, body=body)

    assert (answer.code, answer.json["controls"]) == (200, {"paused": False, "max_speed": speed})


@pytest.mark.parametrize("query", ["", "max_speed=", "max_speed=-5", "max_speed=fast", "max_speed=5MB", "speed=5"])
async def test_a_speed_that_is_none_is_refused_by_name(ask: Ask, job: StandInJob, query: str) -> None:
    job.script, job.controls = [HALFWAY], {"paused": False, "max_speed": 7}

    answer = await ask("post", f"/jobs/{JOB}/limit", query=query)

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert "speed" in answer.json["message"]
    assert job.controls == {"paused": False, "max_speed": 7}


async def test_a_job_that_takes_no_changes_refuses_them(ask: Ask, job: StandInJob) -> None:
    paused = await ask("post", f"/jobs/{JOB}/pause")
    limited = await ask("post", f"/jobs/{JOB}/limit", query="max_speed=5")

    assert [(answer.code, answer.json["code"]) for answer in (paused, limited)] == [(409, "wrong-job-state")] * 2


@pytest.mark.parametrize("job_id", ["..%2f..%2fetc", "..", "%2e%2e%2f", "a%00b", "a..b", "%E4%BD%A0", "-rf", "x" * 200])
@pytest.mark.parametrize(
    ("verb", "tail"),
    [
        ("get", ""),
        ("delete", ""),
        ("get", "/log"),
        ("post", "/stop"),
        ("post", "/pause"),
        ("post", "/resume"),
        ("post", "/limit"),
    ],
)
async def test_a_hostile_job_id_reaches_nobody(
    ask: Ask, manager: StandInManager, verb: str, tail: str, job_id: str
) -> None:
    answer = await ask(verb, f"/jobs/{job_id}{tail}", query="max_speed=1" if tail == "/limit" else "")

    assert (answer.code, answer.json["code"]) == (404, "job-not-found")
    assert manager.asked_by_clients == []


# all of them


@pytest.mark.parametrize(
    "path", ["/status", "/models", "/models/cache/list", "/jobs", f"/jobs/{JOB}", f"/jobs/{JOB}/log"]
)
async def test_looking_is_no_activity_and_changes_nothing(
    ask: Ask, jp_serverapp: Any, manager: StandInManager, job: StandInJob, path: str
) -> None:
    """An open panel polls; a culler that took that for work would never stop a paid machine."""
    before = jp_serverapp.web_app.settings.get("api_last_activity")

    await ask("get", path)

    assert jp_serverapp.web_app.settings.get("api_last_activity") == before
    harmless = {"describe", "room", "models", "list_cached_models", "cache_summary", "jobs", "job"}
    assert {asked[0] for asked in manager.asked} <= harmless


async def test_changing_something_is_activity(ask: Ask, jp_serverapp: Any, job: StandInJob) -> None:
    before = jp_serverapp.web_app.settings.get("api_last_activity")

    await ask("post", f"/jobs/{JOB}/stop")

    assert jp_serverapp.web_app.settings.get("api_last_activity") != before


async def test_an_unknown_query_key_is_named_and_jupyters_own_are_not(ask: Ask) -> None:
    wrong = await ask("get", "/jobs", query="page=2")
    right = await ask("get", "/jobs", query="no_track_activity=1&1731931321000")

    assert (wrong.code, wrong.json["message"]) == (400, "Unknown key: 'page'.")
    assert right.code == 200


async def test_a_verb_that_is_not_served_is_said_so(ask: Ask) -> None:
    answer = await ask("put", "/jobs", body="{}", is_checked=False)

    assert (answer.code, answer.json["code"]) == (405, "method-not-allowed")


async def test_others_are_answered_while_the_manager_hangs(ask: Ask, manager: StandInManager) -> None:
    """However many polls hang on a dead drive, the event loop lives and a job can be stopped."""
    job = StandInJob(JOB)
    manager.gate = threading.Event()
    stuck = [asyncio.ensure_future(ask("get", "/models")) for _ in range(8)]
    await asyncio.to_thread(manager.is_blocked.wait, 120)
    manager.all_jobs.append(job)

    stopped = await asyncio.wait_for(ask("post", f"/jobs/{JOB}/stop"), 120)
    api = await asyncio.wait_for(ask("put", "/jobs", body="{}", is_checked=False), 120)

    assert (stopped.code, api.code) == (200, 405)
    assert not any(request.done() for request in stuck)
    manager.gate.set()
    answers = await asyncio.wait_for(asyncio.gather(*stuck), 120)
    assert {answer.code for answer in answers} == {200}


async def test_when_too_many_wait_the_rest_is_turned_away(
    ask: Ask, manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MAX_WAITING", 1)
    manager.gate = threading.Event()
    requests = [asyncio.ensure_future(ask("get", "/models")) for _ in range(access.READ_THREADS + 3)]

    ended = asyncio.as_completed(requests, timeout=120)
    refused = [await next(ended), await next(ended)]

    assert [(answer.code, answer.json["code"]) for answer in refused] == [(503, "server-busy")] * 2
    manager.gate.set()
    codes = sorted(answer.code for answer in await asyncio.wait_for(asyncio.gather(*requests), 120))
    assert codes == [200] * (access.READ_THREADS + 1) + [503] * 2


def test_the_states_of_the_stand_in_are_those_of_real_jobs() -> None:
    assert [status.is_active for status in (QUEUED, HALFWAY, DONE, FAILED)] == [True, True, False, False]


# before a fine-tune


CONFIG = {"model": NAME, "data": "a.jsonl"}


@pytest.mark.parametrize(
    ("path", "query", "body"),
    [
        ("plan", "", {"config": CONFIG}),
        ("plan", "", {"config": "model: a/b\ndata: c"}),
        ("plan", "config=model%3A%20a%0Adata%3A%20b", {}),
        ("plan", "", {"config": CONFIG, "rough": True}),
        ("preview", "", {"config": CONFIG, "count": 2}),
        ("preview", "count=2", {"config": CONFIG}),
    ],
)
async def test_a_look_ahead_is_asked_with_the_config(
    ask: Ask, manager: StandInManager, path: str, query: str, body: dict[str, Any]
) -> None:
    asked = {**({"config": "model: a\ndata: b"} if "config" in query else {}), **body}
    asked |= {"count": 2} if path == "preview" else {}

    answer = await ask("post", f"/finetune/{path}", query=query, body=json.dumps(body))

    assert answer.code == 200
    [(look, given, folder)] = manager.was_asked("look_ahead")
    assert (look, given) == (path, asked)
    assert folder is not None  # the server's, where relative paths begin


@pytest.mark.parametrize("body", ["{}", '{"config": ""}', '{"config": [1]}', '{"config": {}, "more": 1}'])
async def test_a_look_ahead_without_a_config_is_refused(ask: Ask, manager: StandInManager, body: str) -> None:
    answer = await ask("post", "/finetune/plan", body=body)

    assert (answer.code, answer.json["code"]) == (400, "bad-input")
    assert manager.asked_by_clients == []


async def test_a_fine_tune_is_started_in_the_folder_of_the_server(ask: Ask, manager: StandInManager) -> None:
    answer = await ask("post", "/finetune", body=json.dumps({"config": CONFIG}))

    assert (answer.code, answer.json["kind"]) == (202, "finetune")
    assert answer.headers["Location"].endswith(f"/qwen3ft/jobs/{answer.json['id']}")
    [(look, given, folder)] = manager.was_asked("look_ahead")
    assert (look, given) == ("start", {"config": CONFIG})
    assert folder is not None


async def test_a_form_is_told_every_problem_by_its_field(ask: Ask, manager: StandInManager) -> None:
    wrong = {"model": "a/b", "epochs": "two", "lora": {"r": 0}}

    answer = await ask("post", "/finetune/check", body=json.dumps({"config": wrong}))

    assert answer.code == 200
    assert {each["fields"][0] for each in answer.json["problems"]} == {"data", "epochs", "lora.r"}
    assert answer.json["defaults"]["lora.r"] == 16
    assert answer.json["config"] == wrong
    assert manager.asked_by_clients == []


async def test_a_form_is_told_which_data_is_not_on_this_disk(ask: Ask) -> None:
    config = {"model": "a/b", "data": ["org/talks#5", "org/here"]}

    answer = await ask("post", "/finetune/check", body=json.dumps({"config": config}))

    assert answer.json["absent"] == ["ms:org/talks"]


async def test_a_form_speaks_the_language_of_the_page(
    ask: Ask, jp_auth_header: dict[str, str], manager: StandInManager
) -> None:
    headers = {**jp_auth_header, "Accept-Language": "zh-CN"}

    answer = await ask(
        "post", "/finetune/check", body='{"config": {"model": "a/b", "data": "c"," epochs": 1}}', headers=headers
    )

    assert "未知字段" in answer.json["problems"][0]["message"]


@pytest.mark.parametrize("folder", ["..", "a/../..", "/.."])
async def test_the_yaml_of_a_form_is_for_a_folder_below_the_servers(ask: Ask, folder: str) -> None:
    answer = await ask("post", "/finetune/check", body=json.dumps({"config": CONFIG, "folder": folder}))

    assert (answer.code, answer.json["code"]) == (400, "bad-input")


# one model


@pytest.mark.parametrize("path", ["/models/details", "/models/card"])
async def test_a_hub_is_asked_about_a_model_only_where_the_request_says_so(
    ask: Ask, manager: StandInManager, path: str
) -> None:
    await ask("get", path, query=f"model_name={NAME}")
    answer = await ask("get", path, query=f"model_name={NAME}&revision=v1&ask=true")

    assert answer.code == 200
    assert manager.was_asked(path.rpartition("/")[2]) == [(NAME, None, False), (NAME, "v1", True)]


async def test_the_details_have_copies_and_rates_in_the_readers_language(
    ask: Ask, jp_auth_header: dict[str, str]
) -> None:
    answer = await ask(
        "get", "/models/details", query=f"model_name={NAME}", headers={**jp_auth_header, "Accept-Language": "zh-CN"}
    )

    (copy,), (source,) = answer.json["copies"], answer.json["sources"]
    assert (copy["model_name"], copy["owner_words"]) == (NAME, "本缓存")
    assert (source["name"], source["rate"]) == ("ModelScope", 2_500_000)
    assert answer.json["about"]["kind_words"] == "按需思考"
    assert [one["size"] for one in answer.json["unfinished"]] == [5]


async def test_a_card_stays_json_whatever_is_in_it(ask: Ask) -> None:
    answer = await ask("get", "/models/card", query=f"model_name={NAME}&ask=true")

    assert answer.headers["Content-Type"] == "application/json"
    assert HOSTILE in answer.json["text"]


async def test_hubs_are_asked_for_updates_by_a_post_alone_and_problems_are_in_the_readers_language(
    ask: Ask, jp_auth_header: dict[str, str], manager: StandInManager
) -> None:
    known = await ask("get", "/models/updates")
    assert manager.was_asked("check_updates") == []
    checked = await ask("post", "/models/updates", headers={**jp_auth_header, "Accept-Language": "zh-CN"})
    await ask("post", "/models/updates", query="sizes=true")
    assert manager.was_asked("check_updates") == [(False,), (True,)]

    assert [one["has_update"] for one in known.json["models"]] == [True]
    assert [one["has_update"] for one in checked.json["models"]] == [False]
    assert checked.json["models"][0]["problem"] == "该平台没有说明最新提交。"


async def test_an_address_is_understood_and_what_is_no_model_is_refused_in_the_readers_language(
    ask: Ask, jp_auth_header: dict[str, str]
) -> None:
    found = await ask(
        "get", "/models/name", query=f"text={quote('https://hf-mirror.com/Qwen/Qwen3-8B/blob/v1/a.json')}"
    )
    refused = await ask(
        "get",
        "/models/name",
        query=f"text={quote('https://modelscope.cn/datasets/a/b')}",
        headers={**jp_auth_header, "Accept-Language": "zh-CN"},
    )

    assert found.json == {"model_name": "Qwen/Qwen3-8B", "revision": "v1"}
    assert (refused.code, refused.json["code"]) == (400, "bad-name")
    assert "数据集" in refused.json["message"]
