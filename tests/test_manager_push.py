"""What people publish after a fine-tune, through the manager and the command line, with real job processes."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from qwen3ft_jupyter import cli
from qwen3ft_jupyter.errors import AccessDenied, BadInput, BadName, LoadError, UnknownModel, error_from_json
from qwen3ft_jupyter.finetune.own import MADE_BY
from qwen3ft_jupyter.finetune.report.card import Asked, Loss, ReportCard, markdown
from qwen3ft_jupyter.jobs import supervisor
from qwen3ft_jupyter.manager import ModelManager, get_model_manager
from qwen3ft_jupyter.manager.kinds import PUSH
from qwen3ft_jupyter.manager.params import FineTuneParams, Starter
from qwen3ft_jupyter.practice.model import MODEL_FOLDER
from qwen3ft_jupyter.upload.plan import PushPlan
from qwen3ft_jupyter.work import Work
from tests.finetune.results import BASE, RUN_ID, write_run
from tests.jobs.following import wait_until
from tests.upload_hub import TOKEN, Fault, Repo, UploadHub

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.jobs.store import Job

REPO = "me/first"
PUBLISHED = ["README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer_config.json"]
WAIT_S = 120


@pytest.fixture
def hub() -> Iterator[UploadHub]:
    with UploadHub() as hub:
        yield hub


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run whose data is on a hub, with what must not be published planted in it."""
    run = write_run(tmp_path / "runs/first", data=("swift/self-cognition#200", str(tmp_path / "train.jsonl")))
    for place in (run, run / "adapter"):
        for name in ("optimizer.pt", "train.jsonl", "training_args.bin", "log.txt", ".env"):
            (place / name).write_text(f"HF_TOKEN={TOKEN} {tmp_path}", "utf-8")
    checkpoint = run / "checkpoints/checkpoint-5"
    checkpoint.mkdir(parents=True)
    (checkpoint / "adapter_model.safetensors").write_bytes(b"mine")
    return run


def make_manager(hub: UploadHub, tmp_path: Path, **settings: Any) -> ModelManager:
    given = {"modelscope_endpoint": hub.url, "hf_endpoint": hub.url, "modelscope_token": TOKEN, "hf_token": TOKEN}
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", **{**given, **settings})


@pytest.fixture
def manager(hub: UploadHub, tmp_path: Path) -> ModelManager:
    return make_manager(hub, tmp_path)


def done(job: Job) -> dict[str, Any]:
    status = job.wait(WAIT_S)
    if status.error:
        raise error_from_json(status.error)
    assert status.state == "succeeded", job.log().text
    assert status.result is not None
    return dict(status.result)


def head_of(hub: UploadHub) -> dict[str, Any]:
    return dict(yaml.safe_load(hub.repos[REPO].files["README.md"].decode().split("---\n")[1]))


def test_without_a_word_nothing_is_sent(manager: ModelManager, hub: UploadHub, run: Path) -> None:
    plan = manager.push(run, REPO)

    assert isinstance(plan, PushPlan)
    assert {method for method, _ in hub.seen} == {"GET"}
    assert [file.path for file in plan.files] == PUBLISHED
    assert (plan.hub, plan.repo_id, plan.is_private, plan.standing, plan.problem) == (
        "modelscope", REPO, True, None, None,
    )  # fmt: skip
    assert plan.page == f"{hub.url}/models/{REPO}"
    assert {"optimizer.pt", "train.jsonl", ".env"} <= {*plan.left}
    assert json.loads(json.dumps(plan.to_dict()))["size"] == plan.size


def test_a_plan_tells_of_a_repo_that_is_there(manager: ModelManager, hub: UploadHub, run: Path) -> None:
    hub.repos[REPO] = Repo(is_private=False, files={"README.md": b"", "notes.txt": b""})

    plan = manager.push(run, REPO, hub="huggingface")
    public = manager.push(run, REPO, hub="huggingface", private=False)

    assert plan.standing is not None
    assert (plan.standing.is_private, plan.present) == (False, ["README.md"])
    assert isinstance(plan.problem, BadInput)
    assert public.problem is None
    with pytest.raises(BadInput, match="is public"):
        manager.push(run, REPO, hub="huggingface", confirm=True)


def check_repo(hub: UploadHub, run: Path, tmp_path: Path) -> None:
    """Compare the bytes, and make sure that nothing private went there, nor the token into what a job keeps."""
    files = hub.repos[REPO].files
    assert sorted(files) == PUBLISHED
    for path in PUBLISHED[1:]:
        assert files[path] == (run / "adapter" / path).read_bytes()
    assert str(tmp_path).encode() not in b"".join(files.values())
    told = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert TOKEN.encode() not in told
    assert b"X-Signature" not in told


def test_a_run_is_pushed_with_its_card_and_nothing_else(
    manager: ModelManager, hub: UploadHub, run: Path, tmp_path: Path
) -> None:
    job = manager.push(run, REPO, confirm=True)

    result = PUSH.read_result(done(job))

    assert result is not None
    assert (result.repo_id, result.files, result.page) == (REPO, 4, f"{hub.url}/models/{REPO}")
    check_repo(hub, run, tmp_path)
    assert hub.repos[REPO].is_private
    head = head_of(hub)
    assert (head["base_model"], head["license"]) == ([BASE], "Apache License 2.0")
    assert (head["base_model_relation"], head["metrics"]) == ("adapter", ["perplexity"])
    assert head["datasets"] == {"train": ["swift/self-cognition"]}


@pytest.mark.parametrize("name", ["modelscope", "huggingface"])
def test_what_was_pushed_is_downloaded_again(manager: ModelManager, hub: UploadHub, tmp_path: Path, name: str) -> None:
    manager.find_pushing(MODEL_FOLDER, REPO, hub=name, private=True).run(Work())

    fetched = make_manager(hub, tmp_path, use_modelscope=name == "modelscope").ensure_model_cached(REPO)

    for path, data in hub.repos[REPO].files.items():
        assert (Path(fetched) / path).read_bytes() == data
    assert {path.name for path in MODEL_FOLDER.iterdir()} == set(hub.repos[REPO].files)


def test_a_job_that_was_stopped_goes_on_where_it_was(manager: ModelManager, hub: UploadHub, run: Path) -> None:
    gate, came = threading.Event(), threading.Event()

    def hold() -> None:
        came.set()
        gate.wait(WAIT_S)

    hub.on_put = hold
    job = manager.push(run, REPO, confirm=True)
    assert came.wait(WAIT_S)
    job.stop()
    wait_until(lambda: supervisor.read_status(job.folder)["state"] == "stopping")  # its process knows
    gate.set()
    assert job.wait(WAIT_S).state == "stopped"
    assert hub.repos[REPO].commits == []

    done(job.resume())

    assert sorted(hub.repos[REPO].files) == PUBLISHED
    assert set(hub.sent.values()) == {1}


def test_what_cannot_be_pushed_is_named_before_anything_is_asked(
    manager: ModelManager, hub: UploadHub, run: Path, tmp_path: Path
) -> None:
    (run / "result.json").unlink()

    with pytest.raises(LoadError, match="no finished fine-tune"):
        manager.push(run, REPO)
    with pytest.raises(UnknownModel):
        manager.push(tmp_path / "runs/nothing", REPO)
    for repo in ("first", "a/b/c", "me/../first", "https://x/y"):
        with pytest.raises(BadName):
            manager.push(run / "adapter", repo)
    with pytest.raises(BadInput, match="hub: gitee is not known"):
        manager.push(run / "adapter", REPO, hub="gitee")
    assert hub.seen == []


def test_the_rows_of_the_data_that_a_card_quotes_stay_here(manager: ModelManager, run: Path) -> None:
    asked = (Asked("row", "What is my secret?", "My own words.", "No idea.", "Your own words."),)
    report = "\n".join(markdown(ReportCard("held_out", 9, loss=Loss(3.0, 2.0), asked=asked)))
    with (run / "adapter/README.md").open("a", encoding="utf-8") as card:
        card.write(f"{report}\nMore of mine.\n")

    files = manager.find_pushing(run, REPO, hub="", private=True).files

    sent = files[0].content.decode()
    assert "My own words" in report
    assert not [word for word in ("secret", "My own words", "Your own words", "| asked") if word in sent]
    assert "Loss of 9 held-out samples" in sent
    assert sent.endswith("More of mine.\n")


def test_the_card_of_a_merge_has_what_is_known_of_its_run(
    manager: ModelManager, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = tmp_path / "runs/first-merged"
    shutil.copytree(MODEL_FOLDER, merged)
    record = {"made_by": MADE_BY, "run_id": RUN_ID, "base": {"repo_id": BASE}, "files": {}}
    (merged / "merge.json").write_text(json.dumps(record), "utf-8")
    job = SimpleNamespace(kind="finetune", params=FineTuneParams(Starter(), {"model": BASE, "output_dir": str(run)}))

    unknown, get = manager.push(merged, REPO, hub="huggingface"), manager.job_store.get
    monkeypatch.setattr(manager.job_store, "get", lambda asked: job if asked == RUN_ID else get(asked))
    pushing = manager.find_pushing(merged, REPO, hub="huggingface", private=True)

    card, bare = pushing.files[0].content.decode(), unknown.files[0].content.decode()
    assert "merge.json" in pushing.left
    for text in (card, bare):
        assert f"base_model: {BASE}" in text
        assert "base_model_relation: finetune" in text
    assert "value: 1.5" in card
    assert "- swift/self-cognition" in card
    assert "swift/self-cognition" not in bare


def test_an_export_is_pushed_by_its_job(manager: ModelManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "runs/first-gguf"
    folder.mkdir(parents=True)
    for name in ("first.gguf", "Modelfile"):
        (folder / name).write_text(f"FROM {tmp_path}", "utf-8")
    status = SimpleNamespace(result={"output_dir": str(folder)})
    job = SimpleNamespace(kind="export", params=None, status=lambda: status)
    monkeypatch.setattr(manager.job_store, "get", lambda _id: job)

    plan = manager.push("20260102-030405-export-abcd", REPO)

    assert ([file.path for file in plan.files], plan.left) == (["README.md", "first.gguf"], ("Modelfile",))


def test_offline_or_without_a_token_the_plan_says_so(
    hub: UploadHub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    stranger, offline = make_manager(hub, tmp_path, modelscope_token=None), make_manager(hub, tmp_path, offline=True)

    assert isinstance(stranger.push(run, REPO).problem, AccessDenied)
    assert isinstance(offline.push(run, REPO).problem, BadInput)
    with pytest.raises(AccessDenied, match="there is no token"):
        stranger.push(run, REPO, confirm=True)
    assert hub.seen == []


def test_a_token_that_is_not_accepted_is_told_by_the_plan(manager: ModelManager, hub: UploadHub, run: Path) -> None:
    hub.faults["/api/v1/models/me"] = [Fault(401, {"Message": "token is expired"})]

    plan = manager.push(run, REPO)

    assert isinstance(plan.problem, AccessDenied)
    assert "token is expired" in plan.problem.message


def test_in_a_terminal_it_shows_what_it_would_be_and_with_yes_does_it(
    hub: UploadHub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"MODEL_CACHE_DIR": str(tmp_path / "cache"), "QWEN3FT_STATE_DIR": str(tmp_path / "state")}
    for name, value in {**given, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "QWEN3FT_LANG": "en"}.items():
        monkeypatch.setenv(name, value)
    command = ["push", str(run), REPO, "--hub", "huggingface"]

    assert cli.main(command) == 0
    shown, made = capsys.readouterr().out, [*hub.repos]
    assert cli.main([*command, "--public", "--yes"]) == 0
    pushed = capsys.readouterr().out

    assert "4 files" in shown
    assert "Nothing has been uploaded" in shown
    assert made == []
    assert pushed.splitlines()[-1] == f"{hub.url}/{REPO}"
    check_repo(hub, run, tmp_path)
    assert not hub.repos[REPO].is_private
    head = head_of(hub)
    assert (head["base_model"], head["license"], head["datasets"]) == (BASE, "apache-2.0", ["swift/self-cognition"])
