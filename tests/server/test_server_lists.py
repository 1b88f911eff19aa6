"""The lists cost little however long they are: made off the event loop, kept while nothing changes, and empty then."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.verbs import grammar
from qwen3ft_jupyter.messages import Speaker
from qwen3ft_jupyter.server import answers
from qwen3ft_jupyter.server.answers import SUMMARY_S, CacheSummaries, JobTexts
from tests.server.standin import DONE, FAILED, HALFWAY, SLUG, StandInJob

if TYPE_CHECKING:
    from qwen3ft_jupyter.messages import Language
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

LANGUAGES: tuple[Language, Language] = ("en", "zh")
LISTS = ("/jobs", "/models", "/models/cache/list", "/status")


@pytest.fixture
def jobs(manager: StandInManager) -> list[StandInJob]:
    manager.all_jobs = [StandInJob(f"20260102-030405-download-{number:04x}", script=[DONE]) for number in range(3)]
    return manager.all_jobs


# asking again


@pytest.mark.parametrize("path", LISTS)
async def test_what_has_not_changed_is_not_sent_again(
    ask: Ask, jp_auth_header: dict[str, str], jobs: list[StandInJob], path: str
) -> None:
    whole = await ask("get", path)
    again = await ask("get", path, headers={**jp_auth_header, "If-None-Match": whole.headers["Etag"]}, is_checked=False)

    assert (again.code, again.body) == (304, b"")


async def test_what_has_changed_is_sent(
    ask: Ask, jp_auth_header: dict[str, str], jobs: list[StandInJob], manager: StandInManager
) -> None:
    before = {path: (await ask("get", path)).headers["Etag"] for path in LISTS[:3]}
    jobs[0].script = [FAILED]
    manager.catalogue.pop()
    manager.cached.pop()

    for path, etag in before.items():
        answer = await ask("get", path, headers={**jp_auth_header, "If-None-Match": etag})
        assert answer.code == 200


async def test_the_same_list_in_another_language_is_another_answer(
    ask: Ask, jp_auth_header: dict[str, str], jobs: list[StandInJob]
) -> None:
    for _ in range(2):
        english = await ask("get", "/jobs")
        chinese = await ask("get", "/jobs", headers={**jp_auth_header, "Accept-Language": "zh-CN"})

        assert english.json["jobs"][0]["state_words"] == "Succeeded"
        assert chinese.json["jobs"][0]["state_words"] == "已完成"


@pytest.mark.parametrize("path", LISTS[:3])
async def test_a_list_is_made_in_a_thread(
    ask: Ask, jobs: list[StandInJob], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Hundreds of rows take tens of milliseconds, in which the event loop would serve no kernel."""
    threads: list[str] = []
    real = answers.to_json

    def note(value: Any) -> str:
        threads.append(threading.current_thread().name)
        return real(value)

    monkeypatch.setattr(answers, "to_json", note)

    await ask("get", path)

    assert set(threads) == {"qwen3ft-read"}


# keeping


def test_a_job_that_has_not_changed_is_said_once_for_each_language(
    jobs: list[StandInJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = mock.Mock(wraps=say.answer)
    monkeypatch.setattr(say, "answer", told)
    texts, snapshots = JobTexts(), [job.snapshot() for job in jobs]
    english, chinese = (Speaker(language, grammar("panel")) for language in LANGUAGES)

    for speaker in (english, chinese, english, chinese):
        texts.to_json(snapshots, speaker)
    assert told.call_count == 2 * len(jobs)

    snapshots[1] = jobs[1].snapshot()
    texts.to_json(snapshots, english)
    assert told.call_count == 2 * len(jobs) + 1


def test_how_full_the_cache_is_is_reckoned_when_a_model_comes_or_goes_and_from_time_to_time(
    manager: StandInManager,
) -> None:
    """It takes a walk through every folder of the cache."""
    now = 0.0
    summaries = CacheSummaries(lambda: now)

    def reckoned() -> int:
        summaries.read(manager.real)
        return len(manager.was_asked("cache_summary"))

    assert [reckoned(), reckoned()] == [1, 1]
    (manager.settings.cache_dir / SLUG).mkdir()
    assert [reckoned(), reckoned()] == [2, 2]
    (manager.settings.cache_dir / ".incoming" / SLUG).mkdir(parents=True)
    assert [reckoned(), reckoned()] == [3, 3]
    now = SUMMARY_S
    assert [reckoned(), reckoned()] == [4, 4]


# several jobs in one request


async def test_some_jobs_are_asked_for_at_once_and_what_is_gone_is_left_out(ask: Ask, jobs: list[StandInJob]) -> None:
    jobs[1].script = [HALFWAY]
    ids = [jobs[2].id, "20260102-030405-download-ffff", jobs[1].id]

    answer = await ask("get", "/jobs", query=f"ids={','.join(ids)}")

    assert [(job["id"], job["state"]) for job in answer.json["jobs"]] == [
        (jobs[2].id, "succeeded"),
        (jobs[1].id, "running"),
    ]


@pytest.mark.parametrize(
    ("ids", "code"), [("..%2f..%2fetc", 200), ("", 400), ("a" * 600, 400), ("20260102-030405-download-0000%00", 400)]
)
async def test_a_hostile_id_among_several_reaches_nobody(
    ask: Ask, manager: StandInManager, jobs: list[StandInJob], ids: str, code: int
) -> None:
    answer = await ask("get", "/jobs", query=f"ids={ids}")

    assert answer.code == code
    assert code == 400 or answer.json == {"jobs": []}
    assert manager.was_asked("job") == []


async def test_every_job_that_has_ended_is_forgotten_in_one_request(
    ask: Ask, manager: StandInManager, jobs: list[StandInJob]
) -> None:
    jobs[1].script = [HALFWAY]
    jobs[2].script = [FAILED]

    answer = await ask("delete", "/jobs")
    rest = await ask("get", "/jobs")

    assert answer.json == {"forgotten": [jobs[0].id, jobs[2].id]}
    assert [job["id"] for job in rest.json["jobs"]] == [jobs[1].id]


async def test_a_job_is_forgotten_at_pai_dlc_only_where_that_is_asked(ask: Ask, manager: StandInManager) -> None:
    manager.next_script = [DONE]
    here, there = (manager.new_job("finetune", {}, "Fine-tune") for _ in range(2))

    await ask("delete", f"/jobs/{here.id}")
    answer = await ask("delete", f"/jobs/{there.id}", query="there=true")
    wrong = await ask("delete", f"/jobs/{there.id}", query="there=perhaps")

    assert (answer.code, wrong.code) == (204, 400)
    assert manager.was_asked("delete_there") == [(there.id,)]
    assert manager.jobs() == []
