"""Models and results of fine-tunes are measured and asked by themselves: on the practice model, once as a real job."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.errors import BadConfig, BadData, BadInput, NotCached, Stopped, UnknownModel
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.report.evaluating import Evaluation, evaluate
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.evaluating import evaluation_params
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.work import Progress, Reporter, Work
from tests.finetune.lessons import rows
from tests.servers import ScriptedServer, dataset_hub, json_reply
from tests.test_manager_tuned import done, make_place

if TYPE_CHECKING:
    from qwen3ft_jupyter.manager.params import EvaluateParams
    from tests.servers import Reply, Seen

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the practice model, and a finished LoRA run in `runs/first`; tests must not change them."""
    return make_place(tmp_path_factory.mktemp("measured"))


@pytest.fixture
def manager(place: Path, tmp_path: Path) -> ModelManager:
    return get_model_manager(cache_dir=place / "cache", state_dir=tmp_path / "state", offline=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(map(json.dumps, rows(5))), encoding="utf-8")
    return path


def params(manager: ModelManager, name: str, **given: Any) -> EvaluateParams:
    return evaluation_params(name, given, manager._model_jobs, manager.find_evaluated)


def test_a_run_is_compared_with_its_base_as_a_job(manager: ModelManager, place: Path, data: Path) -> None:
    """The adapter is random, so that the answers differ; everything is in the result of the job."""
    job = manager.evaluate(place / "runs/first", data, prompts="Hi?", max_length=200, device="cpu")

    found = Evaluation.from_dict(done(job))

    card = found.card
    assert (found.name, found.data, card.rows_from, card.rows) == ("first", ("test.jsonl",), "data", 5)
    assert card.loss.before is not None
    assert card.loss.after is not None
    assert card.loss.before != card.loss.after
    assert [one.kind for one in card.asked].count("row") == 5
    assert all(one.before is not None and one.after is not None for one in card.asked)
    assert card.asked[0].prompt == "Hi?"
    assert manager.jobs()[0].snapshot().title == "Evaluate first"


def test_a_model_alone_has_no_before(data: Path) -> None:
    """Its loss is that of transformers on the answers."""
    config = FineTuneConfig.from_dict({"model": PRACTICE_REPO_ID, "data": str(data), "device": "cpu"})
    phases: list[str] = []

    class Ear(Reporter):
        def progress(self, progress: Progress) -> None:
            phases.append(progress.phase)

    found = evaluate("m", config, MODEL_FOLDER, None, is_held_out=False, work=Work(Ear()))

    assert found.card.loss.before is None
    assert 0 < (found.card.loss.after or 0) < 20
    assert found.card.scores("before") is None
    assert found.card.scores("after") is not None
    assert list(dict.fromkeys(phases)) == ["preparing", "loading", "evaluating"]


def test_an_evaluation_can_be_stopped(data: Path) -> None:
    stop = threading.Event()
    config = FineTuneConfig.from_dict({"model": PRACTICE_REPO_ID, "data": str(data), "device": "cpu"})

    class Stopper(Reporter):
        def progress(self, progress: Progress) -> None:
            if progress.phase == "evaluating":
                stop.set()

    with pytest.raises(Stopped):
        evaluate("m", config, MODEL_FOLDER, None, is_held_out=False, work=Work(Stopper(), stop))


def test_a_run_brings_its_own_data_and_fields(manager: ModelManager, place: Path, tmp_path: Path, data: Path) -> None:
    """Without data the rows that it kept out; with data neither its columns nor its format."""
    first = place / "runs/first"
    again = tmp_path / "again"
    again.mkdir()
    record = json.loads((first / "config.json").read_text())
    more = {"eval_fraction": 0.25, "max_length": 77, "data": [str(data)], "data_format": "messages"}
    (again / "config.json").write_text(json.dumps({**record, **more}))
    (again / "result.json").write_text((first / "result.json").read_text())
    (again / "adapter").symlink_to(first / "adapter")

    own, other = params(manager, str(again)), params(manager, str(again), data=str(data), max_length=88)

    assert (own.is_held_out, other.is_held_out) == (True, False)
    assert (own.config["max_length"], own.config["data_format"]) == (77, "messages")
    assert (other.config["max_length"], other.config["data_format"]) == (88, "auto")
    assert own.model_name == other.model_name == PRACTICE_REPO_ID
    held_out = evaluate(
        "again",
        FineTuneConfig.from_dict(dict(own.config)),
        MODEL_FOLDER,
        None,
        is_held_out=True,
        work=Work(),
    )
    assert (held_out.card.rows_from, held_out.card.rows) == ("held_out", 1)


def test_data_in_a_notebook_is_kept_for_the_job(manager: ModelManager, tmp_path: Path) -> None:
    given = params(manager, PRACTICE_REPO_ID, data=rows(3))

    (path,) = given.config["data"]
    assert Path(path).is_relative_to(tmp_path / "state" / "tables")
    assert len(Path(path).read_text().splitlines()) == 3


def test_a_data_set_on_a_hub_is_fetched_before_the_job_begins(place: Path, tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, rows(4))).encode()
    with ScriptedServer(dataset_hub({"org/talks": {"train.jsonl": lines}})) as hub:
        manager = get_model_manager(
            cache_dir=place / "cache",
            state_dir=tmp_path / "state",
            modelscope_endpoint=hub.url,
            hf_endpoint=hub.url,
        )
        job = manager.evaluate(place / "runs/first", "hf:org/talks#3", max_length=200, device="cpu")
        asked = len(hub.seen)

        found = Evaluation.from_dict(done(job))

        assert found.card.rows == 3
        assert len(hub.seen) == asked


def test_an_evaluation_that_is_not_to_fetch_begins_without_a_hub_and_its_job_does(place: Path, tmp_path: Path) -> None:
    """As REST starts one: the job has no working folder of the server, and knows the data set all the same."""
    may_answer, lines = threading.Event(), "\n".join(map(json.dumps, rows(4))).encode()
    answer = dataset_hub({"org/my_talks": {"train.jsonl": lines}})

    def slow(request: Seen) -> Reply:
        return answer(request) if may_answer.wait(60) else json_reply({}, 403)

    with ScriptedServer(slow) as hub:
        manager = get_model_manager(
            cache_dir=tmp_path / "cache",
            shared_dirs=[place / "cache"],
            state_dir=tmp_path / "state",
            modelscope_endpoint=hub.url,
            hf_endpoint=hub.url,
        )
        job = manager.evaluate(place / "runs/first", "org/my_talks#3", fetch=False, max_length=200, device="cpu")
        may_answer.set()

        assert Evaluation.from_dict(done(job)).card.rows == 3
        assert [str(one.name) for one in manager.cached_datasets()] == ["ms:org/my_talks"]


def test_wrong_rows_are_told_with_file_and_row_before_there_is_a_job(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    """Also where no hub is to be asked, as REST starts one: in a process of its own, so that no server reads them."""
    wrong = tmp_path / "wrong.jsonl"
    wrong.write_text('{"question": "Hi?", "answer": "Hi."}\n{"question": "Hi?", "answer": ["Hi."]}\n')
    asked = {"name": str(place / "runs/first"), "data": str(wrong)}

    told = manager.foresee_evaluation(place / "runs/first", wrong)

    assert told.data == (str(wrong),)
    with pytest.raises(BadData, match=r"wrong\.jsonl row 2"):
        manager.look_ahead("evaluate", asked, folder=None, stop=threading.Event())
    for fetch in (True, False):
        with pytest.raises(BadData, match=r"wrong\.jsonl row 2"):
            manager.evaluate(place / "runs/first", wrong, device="cpu", fetch=fetch)
    assert manager.jobs() == []


@pytest.mark.parametrize("fetch", [True, False])
def test_what_is_told_without_reading_rows_is_told_before_there_is_a_job(
    manager: ModelManager, place: Path, tmp_path: Path, *, fetch: bool
) -> None:
    first, gone = place / "runs/first", [tmp_path / "gone.jsonl", tmp_path / "lost.jsonl"]

    with pytest.raises(BadData, match=r"(?s)gone\.jsonl.*lost\.jsonl"):
        manager.evaluate(first, gone, fetch=fetch)
    with pytest.raises(BadData, match=r"gone\.jsonl"):
        manager.foresee_evaluation(first, gone[0])
    with pytest.raises(BadConfig, match="bogus"):
        manager.evaluate(first, gone, fetch=fetch, bogus=1)
    assert manager.jobs() == []


def test_a_data_set_on_a_hub_is_foreseen_by_its_name_and_no_hub_is_asked(place: Path, tmp_path: Path) -> None:
    with ScriptedServer(dataset_hub({})) as hub:
        manager = get_model_manager(
            cache_dir=place / "cache",
            state_dir=tmp_path / "state",
            modelscope_endpoint=hub.url,
            hf_endpoint=hub.url,
        )
        told = manager.foresee_evaluation(place / "runs/first", "hf:org/other#3")

        assert told.data == ("hf:org/other#3",)
        assert hub.seen == []


def test_what_cannot_be_measured_is_refused_before_it_is_a_job(
    manager: ModelManager, place: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.jsonl").write_text("{}")

    with pytest.raises(BadInput, match="nothing to measure on"):
        manager.evaluate(PRACTICE_REPO_ID)
    with pytest.raises(BadInput, match="first kept no rows out of training"):
        manager.evaluate(place / "runs/first")
    with pytest.raises(BadData):
        manager.evaluate(PRACTICE_REPO_ID, tmp_path / "empty.jsonl")
    with pytest.raises(NotCached):
        manager.evaluate("Qwen/Qwen3-0.6B", rows(1))
    with pytest.raises(UnknownModel):
        manager.evaluate("runs/none", rows(1))
    assert manager.jobs() == []
