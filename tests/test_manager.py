"""The manager, with real hubs on loopback and real job processes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.errors import BadConfig, BadData, JobNotFound, ModelInUse, ModelNotFound, NotCached, UnknownModel
from qwen3ft_jupyter.hubs import routes
from qwen3ft_jupyter.jobs.store import JobStore
from qwen3ft_jupyter.loading.libraries import LoadedPair
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.kinds import KINDS
from qwen3ft_jupyter.mirror.mirror import Mirror
from qwen3ft_jupyter.work import Progress, Reporter
from tests.cache.making import safetensors
from tests.transfer.origin import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPO = "acme/Tiny-1"
SLUG = "acme_Tiny-1"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A made-up repo on a hub's disk."""
    folder = tmp_path / "hub" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "tokenizer.json").write_text('{"model": {}}')
    (folder / "model.safetensors").write_bytes(safetensors(os.urandom(3_000_000)))
    return folder


@pytest.fixture
def mirror(repo: Path) -> Iterator[Mirror]:
    with Mirror({REPO: repo}) as mirror:
        yield mirror


@pytest.fixture
def make_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModelManager]:
    for variable in ("MODEL_CACHE_DIR", "QWEN3FT_STATE_DIR", "USE_MODELSCOPE", "HF_TOKEN", "MODELSCOPE_API_TOKEN"):
        monkeypatch.delenv(variable, raising=False)

    def make(url: str = "http://127.0.0.1:9", **overrides: object) -> ModelManager:
        given: dict[str, object] = {
            "cache_dir": tmp_path / "cache",
            "state_dir": tmp_path / "state",
            "modelscope_endpoint": url,
            "hf_endpoint": url,
        }
        return get_model_manager(**{**given, **overrides})  # type: ignore[arg-type]

    return make


def waiting(manager: ModelManager) -> ModelManager:
    """Let the manager's jobs wait until they are stopped."""
    worker = [sys.executable, str(Path(__file__).parent / "waiting_worker.py")]
    settings = manager.settings
    manager.job_store = JobStore(settings.state_dir, KINDS, worker=worker, environ=settings.secrets_given())
    return manager


def stop_all(manager: ModelManager) -> None:
    for job in manager.jobs():
        job.stop()
    for job in manager.jobs():
        job.wait(120)


class Ear(Reporter):
    def __init__(self) -> None:
        self.phases: list[str] = []
        self.notices: list[str] = []

    def progress(self, progress: Progress) -> None:
        if progress.phase not in self.phases[-1:]:
            self.phases.append(progress.phase)

    def notice(self, message: str) -> None:
        self.notices.append(message)


def test_a_model_is_downloaded_once_and_returned_as_a_folder(
    make_manager: Callable[..., ModelManager], mirror: Mirror, repo: Path
) -> None:
    manager = make_manager(mirror.url)

    folder = manager.ensure_model_cached(REPO)
    unreachable = make_manager()
    again = unreachable.ensure_model_cached(REPO)

    assert type(folder) is str
    assert Path(folder).name == SLUG
    assert again == folder
    assert (Path(folder) / "model.safetensors").read_bytes() == (repo / "model.safetensors").read_bytes()


@pytest.mark.parametrize("use_modelscope", [True, False])
def test_either_hub_can_be_the_first(
    make_manager: Callable[..., ModelManager], mirror: Mirror, *, use_modelscope: bool
) -> None:
    manager = make_manager(mirror.url, use_modelscope=use_modelscope, fallback=False)

    manager.ensure_model_cached(REPO)

    (model,) = manager.list_cached_models()
    assert model["hub"] == ("modelscope" if use_modelscope else "huggingface")
    assert len(model["commit"]) == 40


def test_the_other_hub_is_used_and_that_is_said(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    manager = make_manager(mirror.url, modelscope_endpoint="http://127.0.0.1:9")
    ear = Ear()

    manager.ensure_model_cached(REPO, reporter=ear)

    assert manager.list_cached_models()[0]["hub"] == "huggingface"
    assert any("Hugging Face" in notice for notice in ear.notices)


def test_cached_models_are_listed_with_name_and_size_in_bytes(
    make_manager: Callable[..., ModelManager], mirror: Mirror, repo: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)

    (model,) = manager.list_cached_models()

    assert model["model_name"] == REPO
    assert model["size"] == sum(path.stat().st_size for path in repo.iterdir())
    assert model["verified"] is True
    json.dumps(model)


def test_names_nobody_published_are_answered_with_one_that_exists(make_manager: Callable[..., ModelManager]) -> None:
    manager = make_manager()  # no hub is there to be asked

    with pytest.raises(UnknownModel) as caught:
        manager.ensure_model_cached("Qwen/Qwen3-7B-Instruct")
    with pytest.raises(UnknownModel):
        manager.download("Qwen/Qwen3-14B-Instruct")

    assert "Qwen/Qwen3-8B" in str(caught.value)


def test_a_model_no_hub_has_is_not_found(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    with pytest.raises(ModelNotFound):
        make_manager(mirror.url).ensure_model_cached("acme/Nothing")


def test_offline_opens_no_connection(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    with pytest.raises(NotCached):
        make_manager(mirror.url, offline=True).ensure_model_cached(REPO)


def test_evicting_frees_the_bytes_and_can_be_done_by_folder_name(
    make_manager: Callable[..., ModelManager], mirror: Mirror
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)

    assert manager.evict_slug(SLUG).freed_bytes > 3_000_000
    assert manager.list_cached_models() == []
    with pytest.raises(NotCached):
        manager.evict_model(REPO)


def test_clearing_the_cache_empties_it(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)

    manager.clear_cache()

    assert manager.list_cached_models() == []


def test_clearing_the_cache_keeps_what_was_pinned_and_what_others_put_there(
    make_manager: Callable[..., ModelManager], mirror: Mirror, tmp_path: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    manager.pin(REPO)
    mine = tmp_path / "cache" / "me_my-own-work"
    mine.mkdir()
    (mine / "config.json").write_text("{}")
    (mine / "model.safetensors").write_bytes(b"weights")

    assert manager.evict_all() == []
    manager.pin(REPO, pinned=False)
    assert [evicted.repo_id for evicted in manager.evict_all()] == [REPO]

    assert (mine / "model.safetensors").read_bytes() == b"weights"


def test_a_download_is_a_job_with_a_result(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    manager = make_manager(mirror.url)

    status = manager.download(REPO).wait(120)

    assert status.state == "succeeded", status.error
    assert status.result is not None
    assert status.result["model_name"] == REPO
    assert status.result["bytes"] > 3_000_000
    assert status.result["hub"] == "modelscope"
    assert manager.list_cached_models()[0]["verified"]


def test_a_job_names_no_secret(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    manager = make_manager(mirror.url, hf_token="hf_made_up", modelscope_token="ms_made_up")

    job = manager.download(REPO)
    job.wait(120)

    everything = b"".join(path.read_bytes() for path in job.folder.iterdir())
    assert b"made_up" not in everything


def test_a_second_download_of_the_same_model_is_the_first(
    make_manager: Callable[..., ModelManager], mirror: Mirror
) -> None:
    manager = make_manager(mirror.url)

    first, second = manager.download(REPO), manager.download(REPO)

    assert first.id == second.id or not first.status().is_active
    assert first.wait(120).state == "succeeded"


def test_a_model_that_a_job_uses_is_not_evicted(
    make_manager: Callable[..., ModelManager], mirror: Mirror, tmp_path: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    job = waiting(manager).download(REPO, force=True)

    with pytest.raises(ModelInUse, match=job.id):
        manager.evict_model(REPO)
    with pytest.raises(ModelInUse):
        manager.evict_all()

    job.stop()
    job.wait(120)
    assert manager.evict_model(REPO) > 0


def test_the_catalogue_is_joined_with_the_cache(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)

    rows = {row["model_name"]: row for row in manager.models()}

    assert rows["Qwen/Qwen3-0.6B"]["role"] == "quick experiments"
    assert rows["Qwen/Qwen3-0.6B"]["cached"] is False
    assert rows[REPO]["cached"] is True
    assert rows[REPO]["catalogued"] is False
    assert "qwen3ft/Qwen3-Practice" in rows


def test_a_wrong_config_is_refused_before_anything_starts(
    make_manager: Callable[..., ModelManager], tmp_path: Path
) -> None:
    manager = make_manager()
    (tmp_path / "bad.jsonl").write_text('{"messages": [{"role": "robot", "content": "?"}]}\n')

    with pytest.raises(BadConfig, match="learning_rate"):
        manager.fine_tune(model=REPO, data="x.jsonl", learning_rate="fast")
    with pytest.raises(BadData, match="row 1"):
        manager.fine_tune(model=REPO, data=str(tmp_path / "bad.jsonl"))

    assert manager.jobs() == []


def test_an_unknown_job_is_not_found(make_manager: Callable[..., ModelManager]) -> None:
    with pytest.raises(JobNotFound):
        make_manager().job("../../etc")


def test_describe_says_each_setting_and_where_it_came_from(
    make_manager: Callable[..., ModelManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_MODELSCOPE", "no")
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")

    description = make_manager().describe()

    rows = {row.variable: row for row in description.rows}
    assert description.hub == "huggingface"
    assert (rows["USE_MODELSCOPE"].value, rows["USE_MODELSCOPE"].origin) == ("false", "environment (USE_MODELSCOPE)")
    assert rows["MODEL_CACHE_DIR"].origin == "argument"
    assert "made_up" not in f"{description} {description.to_dict()}"


def test_stopping_keeps_what_arrived(make_manager: Callable[..., ModelManager], mirror: Mirror) -> None:
    from qwen3ft_jupyter.errors import Stopped

    manager = make_manager(mirror.url)
    stop = threading.Event()
    stop.set()

    with pytest.raises(Stopped):
        manager.ensure_model_cached(REPO, stop=stop)

    assert manager.list_cached_models() == []


def test_evicting_by_folder_name_leaves_other_copies_alone(
    make_manager: Callable[..., ModelManager], mirror: Mirror, tmp_path: Path
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    copy = tmp_path / "cache" / "acme--Tiny-1"
    copy.mkdir()
    for name in ("config.json", "model.safetensors"):
        (copy / name).write_bytes((tmp_path / "cache" / SLUG / name).read_bytes())

    manager.evict_slug("acme--Tiny-1")

    assert [model["slug"] for model in manager.list_cached_models()] == [SLUG]


def test_a_download_under_way_is_joined_only_if_it_does_the_same(
    make_manager: Callable[..., ModelManager], tmp_path: Path
) -> None:
    manager = waiting(make_manager())
    other = waiting(make_manager(cache_dir=tmp_path / "other"))
    try:
        first = manager.download(REPO)

        assert manager.download(REPO).id == first.id
        assert manager.download(REPO, force=True).id != first.id
        assert manager.download(REPO, revision="v2").id != first.id
        assert other.download(REPO).id != first.id
    finally:
        stop_all(manager)


def test_a_forced_download_that_is_resumed_still_fetches(
    make_manager: Callable[..., ModelManager], mirror: Mirror
) -> None:
    manager = make_manager(mirror.url)
    manager.ensure_model_cached(REPO)
    job = waiting(make_manager(mirror.url)).download(REPO, force=True)
    job.stop()
    assert job.wait(120).state == "stopped"

    status = manager.job(job.id).resume().wait(120)

    assert status.result is not None
    assert status.result["bytes"] > 3_000_000


def test_a_token_given_as_an_argument_reaches_the_job_but_no_file(make_manager: Callable[..., ModelManager]) -> None:
    job = waiting(make_manager(hf_token="hf_made_up")).download(REPO)
    try:
        deadline = time.monotonic() + 240
        while (status := job.status()).progress is None and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        job.stop()
        job.wait(120)

    assert status.progress is not None
    assert status.progress.detail == "HF_TOKEN"
    assert b"made_up" not in b"".join(path.read_bytes() for path in job.folder.iterdir())


def test_two_fine_tunes_do_not_write_to_one_folder(make_manager: Callable[..., ModelManager], tmp_path: Path) -> None:
    manager = waiting(make_manager())
    data = tmp_path / "train.jsonl"
    data.write_text('{"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}\n')
    config = {"model": REPO, "data": str(data), "output_dir": str(tmp_path / "run"), "overwrite": True}
    job = manager.fine_tune(config)
    try:
        with pytest.raises(BadConfig, match=job.id):
            manager.fine_tune(config, output_dir=str(tmp_path / "x" / ".." / "run"))
    finally:
        stop_all(manager)


def test_a_job_forgotten_meanwhile_disturbs_nothing(
    make_manager: Callable[..., ModelManager], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = waiting(make_manager())
    job = manager.download(REPO)
    job.stop()
    job.wait(120)
    stale = manager.jobs()
    job.forget()
    monkeypatch.setattr(manager, "jobs", lambda: stale)

    assert manager.models()


def test_a_folder_named_like_the_repo_is_no_fine_tune(
    make_manager: Callable[..., ModelManager], mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make_manager(mirror.url)
    (tmp_path / REPO).mkdir(parents=True)
    (tmp_path / REPO / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)

    assert manager._locate(REPO, Reporter()).folder == Path(manager.ensure_model_cached(REPO))
    assert manager._locate(f"./{REPO}", Reporter()).folder == Path(REPO)


def test_the_practice_model_is_never_asked_of_a_real_hub(
    make_manager: Callable[..., ModelManager], repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever registers its name on a hub would supply the model."""
    monkeypatch.setattr("qwen3ft_jupyter.practice.hub.MODEL_FOLDER", repo)
    asked: list[str] = []

    def noting(settings: Any, *, endpoint: str = "", **client: Any) -> object:
        asked.append(endpoint)
        return routes.make_hubs(settings, endpoint=endpoint, **client)

    monkeypatch.setattr("qwen3ft_jupyter.practice.hub.make_hubs", noting)
    manager = make_manager(offline=True)
    weights = Path(manager.ensure_model_cached(PRACTICE_REPO_ID)) / "model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"damaged")

    manager.ensure_model_cached(PRACTICE_REPO_ID)
    manager.ensure_model_cached(PRACTICE_REPO_ID)

    assert weights.read_bytes() == (repo / "model.safetensors").read_bytes()
    assert [endpoint.startswith("http://127.0.0.1:") for endpoint in asked] == [True, True]


@pytest.mark.parametrize("name", ["qwen3ft/Qwen3-Practise", "Qwen3FT/Qwen3-Practice", "qwen3ft/anything"])
def test_a_name_like_the_practice_models_is_never_asked_of_a_hub(
    make_manager: Callable[..., ModelManager], repo: Path, name: str
) -> None:
    with Mirror({name: repo}) as mirror:
        manager = make_manager(mirror.url)
        for use in (manager.load_model_and_tokenizer, manager.ensure_model_cached, manager.plan, manager.download):
            with pytest.raises(UnknownModel, match=f'There is no practice model "{name}"') as caught:
                use(name)

    assert caught.value.hint == f'Did you mean "{PRACTICE_REPO_ID}"?'
    assert manager.list_cached_models() == []
    assert manager.jobs() == []


def test_the_practice_model_is_had_offline_from_a_read_only_folder(
    make_manager: Callable[..., ModelManager], repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in site-packages of an administrator."""
    for path in (*repo.iterdir(), repo):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr("qwen3ft_jupyter.practice.hub.MODEL_FOLDER", repo)

    folder = Path(make_manager(offline=True).ensure_model_cached(PRACTICE_REPO_ID))

    repo.chmod(0o755)
    assert {path.name for path in repo.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json"}
    assert (folder / "model.safetensors").read_bytes() == (repo / "model.safetensors").read_bytes()


def test_chat_takes_the_loaded_model_unless_it_has_an_adapter_of_its_own(
    make_manager: Callable[..., ModelManager], mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the memory for one model is too much; an adapter must not answer in the name of its base."""

    class Thing:
        pass

    monkeypatch.setattr(
        "qwen3ft_jupyter.loading.loaded.load_model_and_tokenizer", lambda *_, **__: LoadedPair(Thing(), Thing())
    )
    monkeypatch.setattr("qwen3ft_jupyter.finetune.chat.answer", lambda loaded, *_, **__: loaded.model)
    manager = make_manager(mirror.url)

    adapted = manager.load_model_and_tokenizer(REPO, adapter=tmp_path)
    plain_answer: Any = manager.chat(REPO, "?")
    loaded = manager.load_model_and_tokenizer(REPO)
    answer: Any = manager.chat(REPO, "?")

    assert plain_answer is not adapted[0]
    assert answer is loaded[0]


def test_a_model_that_nobody_compared_with_a_hub_makes_python_warn(
    make_manager: Callable[..., ModelManager], repo: Path
) -> None:
    manager = make_manager(offline=True)
    shutil.copytree(repo, manager.settings.cache_dir / "acme_Tiny-1")

    with pytest.warns(UserWarning, match=r"acme/Tiny-1 was not compared with a hub") as caught:
        manager.ensure_model_cached(REPO)

    assert caught[0].filename == __file__
    told = Recorder()
    manager.ensure_model_cached(REPO, reporter=told)  # who is told of notices needs no warning
    assert "unverified" in told.notices[0]
