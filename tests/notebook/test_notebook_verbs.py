"""Every verb is parsed, calls the manager, and returns something that shows itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from qwen3ft_jupyter.cache.reports import RepairReport, VerifyReport
from qwen3ft_jupyter.errors import (
    BadConfig,
    BadInput,
    BadSetting,
    CacheDamaged,
    JobNotFound,
    NotCached,
    Qwen3ftError,
    WrongJobState,
)
from qwen3ft_jupyter.faces.parsing import split_line
from qwen3ft_jupyter.faces.verbs import verbs_of
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.notebook import actions
from qwen3ft_jupyter.notebook.completion import complete
from qwen3ft_jupyter.notebook.job_view import JobView
from qwen3ft_jupyter.notebook.magics import Qwen3FTMagics, load_ipython_extension, unload_ipython_extension
from qwen3ft_jupyter.notebook.views import Note, TableView, TextView, View
from tests.server.standin import DONE, FAILED, HALFWAY, NAME, SLUG, StandInJob, StandInManager, cached_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qwen3ft_jupyter.manager import ModelManager


VERBS = verbs_of("magic")


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def manager(tmp_path: Path) -> StandInManager:
    return StandInManager(tmp_path)


@pytest.fixture
def opened() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def run(shell: InteractiveShell, manager: StandInManager, opened: list[dict[str, Any]]) -> Any:
    """Run a line, with the variables of the notebook filled in."""

    def open_manager(**options: Any) -> ModelManager:
        opened.append(options)
        return manager.real

    magics = Qwen3FTMagics(shell, open_manager)
    shell.register_magics(magics)
    untyped: Any = shell

    def run(line: str, cell: str | None = None) -> Any:
        if cell is None:
            return untyped.run_line_magic("qwen3ft", line)
        return untyped.run_cell_magic("qwen3ft", line, cell)

    return run


# the table


def test_every_verb_has_a_function_a_usage_and_a_sentence() -> None:
    names = "status, models, details, download, list, updates, verify, repair, pin, unpin, evict, where, move, load, "
    names += "finetune, preview, chat, "
    names += "evaluate, compare, merge, export, push, "
    names += "jobs, jobs stop, jobs pause, jobs resume, jobs limit, jobs follow, jobs log, jobs forget, "
    names += "practice, help"

    assert ", ".join(verb.name for verb in VERBS) == names
    for verb in VERBS:
        assert callable(actions.ACTIONS[verb.name])
        assert verb.usage("magic").startswith(verb.name)
        assert verb.summary.endswith(".")


def test_every_option_of_a_verb_is_in_its_help(run: Any) -> None:
    for verb in VERBS:
        shown = run(f"help '{verb.name}'").text()
        assert [option.flag for option in verb.options_in("magic") if f"{option.flag} " not in shown] == [], verb.name


# reading a line


def test_a_line_is_split_as_people_mean_it() -> None:
    assert split_line(r"load C:\models\mine --as m") == ["load", r"C:\models\mine", "--as", "m"]
    assert split_line("status     # which hub, and why") == ["status"]
    assert split_line('chat runs/first "# not a comment"') == ["chat", "runs/first", "# not a comment"]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("downlod Qwen/Qwen3-0.6B", "Did you mean download?"),
        ("frobnicate", "The verbs: status, models"),
        ("download a b", "unrecognized arguments: b"),
        ("download a --hub github", "choose from"),
        ("download a --forc", "unrecognized arguments: --forc"),
        ("finetune c.yaml --join gpu-1:7", "--join is an option of the terminal alone."),
        ("finetune --print=slurm c.yaml", "--print is an option of the terminal alone."),
        ("load", "NAME"),
        ("load a --4bit --8bit", "not allowed with"),
        ("load a --as 1x", "'1x' cannot be the name of a variable"),
        ("load a --as class", "'class' cannot be the name of a variable"),
        ("stop", "ID"),
        ("chat a", "QUESTION"),
        ("chat a b --max-new-tokens many", "many"),
        ("cache frob", "choose from"),
        ("cache evict", "%qwen3ft cache"),
        ("cache evict a --all", "%qwen3ft cache"),
        ("cache list a", "%qwen3ft cache"),
        ("cache --all", "%qwen3ft cache"),
        ("cache verify", "NAME is missing"),
        ("cache repair", "NAME is missing"),
        ("cache move", "DIR is missing"),
        ("cache pin a --owner huggingface", "%qwen3ft cache"),
        ("cache evict --all --owner huggingface", "%qwen3ft cache"),
        ("cache evict a --owner qwen3ft", "choose from"),
        ("cache list --revision v1", "%qwen3ft cache"),
        ("cache move a --revision v1", "%qwen3ft cache"),
        ("cache pin a --max-speed 5MB", "%qwen3ft cache"),
        ("jobs limit a", "%qwen3ft jobs"),
        ("jobs pause a 5MB", "%qwen3ft jobs"),
        ("jobs log", "%qwen3ft jobs"),
        ("jobs a b", "%qwen3ft jobs"),
        ('load "b', "quote"),
        ("mirror", "a command of the terminal: qwen3ft mirror"),
        ("help frob", "There is no %qwen3ft frob"),
    ],
)
def test_a_wrong_line_says_how_it_is_meant(run: Any, manager: StandInManager, line: str, named: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(line)

    assert named in str(caught.value)
    assert {asked[0] for asked in manager.asked} <= {"jobs"}


@pytest.mark.parametrize("line", ["", "help", "--help", "-h"])
def test_help_lists_every_verb(run: Any, line: str) -> None:
    view = run(line)

    assert [row["name"] for row in view] == [verb.name for verb in VERBS]


@pytest.mark.parametrize("line", ["help download", "download --help", "download x -h"])
def test_help_on_a_verb_tells_its_options(run: Any, manager: StandInManager, line: str) -> None:
    view = run(line)

    assert "--revision takes a branch" in view.text()
    assert "--dry-run only shows" in view.text()
    assert manager.asked == []


@pytest.mark.parametrize("line", ["help jobs log", "jobs log --help", "jobs log?"])
def test_help_on_a_verb_of_two_words_is_about_that(run: Any, line: str) -> None:
    assert [row["name"] for row in run(line)] == ["jobs log"]


# what verbs do


def test_status_models_cache_and_jobs_are_tables(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("a", script=[HALFWAY])]

    for line, shown in [
        ("status", "USE_MODELSCOPE"),
        ("models", "Qwen/Qwen3-4B"),
        ("cache", NAME),
        ("cache list", "Models in the cache: 1, 1.5 GB"),
        ("jobs", "running"),
    ]:
        view = run(line)
        assert isinstance(view, TableView)
        bundle = view._repr_mimebundle_()
        assert shown in bundle["text/plain"]
        assert shown in bundle["text/html"]
        assert repr(view) == bundle["text/plain"]
        assert isinstance(view[0], dict)


def test_an_empty_table_says_so(run: Any, manager: StandInManager) -> None:
    manager.cached = []

    assert "none" in run("cache").text()
    assert len(run("jobs")) == 0


def test_download_follows_until_the_end(run: Any, manager: StandInManager) -> None:
    view = run("download Qwen/Qwen3-4B --force --revision v1")

    assert isinstance(view, JobView)
    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", {"force": True, "revision": "v1"})]
    assert view.job.status() == DONE


def test_every_wish_for_a_download_is_passed_on(run: Any, manager: StandInManager) -> None:
    run("download Qwen/Qwen3-4B --update --sources modelscope,disk --in-place --max-speed 20MB --detach")

    wishes = {"update": True, "sources": ["modelscope", "disk"], "in_place": True, "max_speed": 20_000_000}
    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", wishes)]


def test_a_dry_run_is_a_table_and_starts_nothing(run: Any, manager: StandInManager) -> None:
    view = run("download Qwen/Qwen3-4B --dry-run --update --sources modelscope --in-place --max-speed 5MB")

    assert isinstance(view, TableView)
    assert "To fetch: 1.4 GB" in view.text()
    assert [file["action"] for file in view].count("fetched") == 2
    [(name, wishes)] = manager.was_asked("plan")
    assert (name, {wish: value for wish, value in wishes.items() if value}) == (
        "Qwen/Qwen3-4B",
        {"update": True, "sources": ["modelscope"], "in_place": True, "max_speed": 5_000_000},
    )
    assert manager.all_jobs == []


@pytest.mark.parametrize(
    "line", ["download a/b --max-speed fast", "cache verify a/b --max-speed fast", "jobs limit a fast"]
)
def test_a_speed_that_is_none_is_refused_by_name(run: Any, manager: StandInManager, line: str) -> None:
    with pytest.raises(BadInput, match="max_speed"):
        run(line)

    assert {asked[0] for asked in manager.asked} <= {"jobs"}


def test_a_detached_download_returns_at_once(run: Any, manager: StandInManager) -> None:
    view = run("download Qwen/Qwen3-4B --detach")

    assert view.job.status().state == "queued"


def test_a_hub_is_chosen_for_one_download(run: Any, opened: list[dict[str, Any]]) -> None:
    run("download Qwen/Qwen3-4B --hub huggingface --detach")
    run("status")

    assert {"use_modelscope": False} in opened
    assert opened[-1] == {}


def test_variables_are_filled_into_the_line(run: Any, shell: InteractiveShell, manager: StandInManager) -> None:
    shell.user_ns["name"] = "Qwen/Qwen3-8B"

    run("download {name} --detach")
    run("download $name --detach")

    assert [asked[0] for asked in manager.was_asked("download")] == ["Qwen/Qwen3-8B"] * 2


def test_a_changed_environment_counts_from_the_next_line_on(shell: InteractiveShell, tmp_path: Path) -> None:
    managers = [StandInManager(tmp_path / "a"), StandInManager(tmp_path / "a"), StandInManager(tmp_path / "b")]
    room = actions.Room(lambda: managers.pop(0).real, {})

    first, second, third = room.manager, room.manager, room.manager

    assert first is second  # it keeps the model that was talked to
    assert third is not first


def test_evicting_one_or_all_says_what_was_freed(run: Any, manager: StandInManager) -> None:
    manager.cached += [cached_row("me/mine", size=1), cached_row("me/mine", slug="me--mine", size=2)]

    one = run(f"cache evict {NAME}")
    every = run("cache evict --all")

    assert (one.value, one.text()) == ({NAME: 1_500_000_000}, f"Deleted {NAME}; 1.5 GB are free again.")
    assert every.value == {"me/mine": 3}
    assert run("cache evict --all").text() == "Deleted none; 0 B are free again.\na/b stays: it is pinned."


def test_another_tools_copy_is_named_with_its_owner(run: Any, manager: StandInManager) -> None:
    run(f"cache evict {NAME} --owner huggingface --revision v1")

    assert manager.was_asked("evict_model") == [(NAME, "v1", "huggingface")]


def test_what_is_not_of_the_model_goes_only_if_told(run: Any, manager: StandInManager) -> None:
    run(f"cache evict {NAME} --everything")
    manager.cached, manager.kept = [cached_row("me/mine", slug="me--mine")], ("notes.txt",)

    assert manager.was_asked("evict_model") == [(NAME, None, None, "everything")]
    assert "Kept in me--mine: notes.txt" in run("cache evict --all").text()
    for line in ("cache evict --all --everything", "cache list --everything", f"cache pin {NAME} --everything"):
        with pytest.raises(UsageError):
            run(line)


def test_the_cache_shows_owners_revisions_and_room(run: Any, manager: StandInManager) -> None:
    manager.cached.append(cached_row("me/mine", owner="huggingface", revision="", commit="abcdef" * 7, verified=False))

    text = run("cache").text()

    assert "Hugging Face" in text
    assert "abcdefabcdef " in text
    assert "1.5 GB of 200 GB used · 500 GB free · 1.0 GB of unfinished downloads" in text
    assert "Models in the cache: 1, 1.5 GB" in text


def test_where_a_model_lies_is_told(run: Any, manager: StandInManager) -> None:
    note = run("where Qwen/Qwen3-0.6B --revision v1 --owner folder")

    assert manager.was_asked("where") == [("Qwen/Qwen3-0.6B", "v1", "folder")]
    assert note.text() == note.value == "/cache/Qwen_Qwen3-0.6B"


def test_what_a_move_would_do_is_told(run: Any, manager: StandInManager, tmp_path: Path) -> None:
    view = run(f"move {tmp_path / 'there'} --dry-run")

    assert manager.was_asked("move_cache") == []
    assert "Folders that would move: 1; 1.5 kB." in view.text()
    assert "MODEL_CACHE_DIR has to name the new folder; now it comes from: environment (MODEL_CACHE_DIR)" in view.text()


def test_the_cache_is_moved(run: Any, manager: StandInManager, tmp_path: Path) -> None:
    note = run(f"cache move {tmp_path / 'there'}")

    assert manager.was_asked("move_cache") == [(tmp_path / "there",)]
    assert note.value == str(tmp_path / "there")
    assert "Moved folders: 1; 1.5 kB copied." in note.text()
    assert "me_mine stayed: it is in use" in note.text()
    assert f"MODEL_CACHE_DIR={tmp_path / 'there'}" in note.text()


def test_pinning_and_unpinning(run: Any, manager: StandInManager) -> None:
    assert isinstance(run(f"cache pin {NAME}"), Note)
    run(f"cache unpin {NAME} --revision v1")

    assert manager.was_asked("pin") == [(NAME, True, None), (NAME, False, "v1")]


def test_verifying_is_a_job_and_damage_is_an_error_with_its_cure(run: Any, manager: StandInManager) -> None:
    good = VerifyReport(parse_repo_id(NAME), checked_files=2, checked_bytes=5, missing=(), wrong=(), extra=())
    damaged = replace(good, wrong=("model.safetensors",))
    manager.next_script = [HALFWAY, _done(good.to_dict())]
    assert "verified: 5 B" in run(f"cache verify {NAME}").text()

    manager.next_script = [HALFWAY, _done(damaged.to_dict())]
    with pytest.raises(CacheDamaged) as caught:
        run(f"cache verify {NAME}")
    assert f"%qwen3ft repair {NAME}" in caught.value.hint


def test_a_check_is_as_slow_as_wished(run: Any, manager: StandInManager) -> None:
    run(f"cache verify {NAME} --max-speed 200MB")

    assert manager.was_asked("start_verify") == [(NAME, None, 200_000_000)]


def test_repairing_is_a_job_that_names_what_it_repaired(run: Any, manager: StandInManager) -> None:
    report = RepairReport(parse_repo_id(NAME), ("model.safetensors",), bytes_fetched=4_000_000, checked_bytes=5)
    manager.next_script = [HALFWAY, _done(report.to_dict())]

    text = run(f"cache repair {NAME} --revision v1 --max-speed 5MB").text()

    assert manager.was_asked("start_repair") == [(NAME, "v1", 5_000_000)]
    assert "repaired: model.safetensors" in text
    assert "fetched: 4.0 MB" in text


def _done(result: dict[str, Any]) -> Any:
    from dataclasses import replace

    return replace(DONE, result=result)


def test_loading_puts_model_and_tokenizer_where_they_are_wanted(
    run: Any, shell: InteractiveShell, manager: StandInManager
) -> None:
    note = run(f"load {NAME} --4bit")
    run(f"load {NAME} --as small")

    assert manager.was_asked("load") == [(NAME, {"quantization": "4bit"}), (NAME, {"quantization": None})]
    assert shell.user_ns["model"].num_parameters() == 596_049_920
    assert shell.user_ns["tokenizer"].name == "tokenizer"
    assert {"small", "small_tokenizer"} <= set(shell.user_ns)
    assert note.text() == f"{NAME} is loaded into model and tokenizer. 596M · torch.bfloat16 · cpu"


def test_a_fine_tune_is_read_from_the_cell(run: Any, shell: InteractiveShell, manager: StandInManager) -> None:
    shell.user_ns["rows"] = ["a.jsonl", "b.jsonl"]

    view = run("finetune --detach --at-once", f"model: {NAME}\ndata: $rows\nlora: {{r: 8}}\noutput_dir: runs/{{x}}\n")

    assert isinstance(view, JobView)
    [(config, when)] = manager.was_asked("fine_tune")
    assert when == "at once"
    assert config == {"model": NAME, "data": ["a.jsonl", "b.jsonl"], "lora": {"r": 8}, "output_dir": "runs/{x}"}


def test_a_fine_tune_is_read_from_a_file(run: Any, manager: StandInManager, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(f"model: {NAME}\ndata: train.jsonl\n")

    run(f'finetune "{tmp_path / "config.yaml"}"')

    assert manager.was_asked("fine_tune") == [({"model": NAME, "data": "train.jsonl"},)]


def test_a_run_is_repeated_alone_or_with_what_the_cell_says(run: Any, manager: StandInManager) -> None:
    run("finetune --from-run runs/first --detach")
    run("finetune --from-run runs/first --detach", "output_dir: runs/again")

    assert manager.was_asked("fine_tune") == [
        ({"from_run": "runs/first"},),
        ({"output_dir": "runs/again", "from_run": "runs/first"},),
    ]


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        ("a: [1", "line 1"),
        ("model: x\n\tdata: y", "line 2"),
        ("- a\n- b", "is not a list of fields"),
        ("# only a comment", "is not a list of fields"),
        ("data: $nothing", "no variable nothing"),
        ("data: [$nothing]", "no variable nothing"),
        (
            "model: $nobody\ndata: $nothing",
            "no variable nobody. The config names $nothing, but there is no variable nothing",
        ),
        ("!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_config_that_cannot_be_read_is_refused(run: Any, manager: StandInManager, cell: str, named: str) -> None:
    with pytest.raises(BadConfig) as caught:
        run("finetune", cell)

    assert named in caught.value.message
    assert manager.was_asked("fine_tune") == []


def test_a_config_file_that_is_not_there_is_named(run: Any) -> None:
    with pytest.raises(BadConfig) as caught:
        run("finetune /somewhere/missing.yaml")

    assert "missing.yaml" in caught.value.message
    assert "/somewhere" not in caught.value.message


def test_a_config_stands_in_one_place_and_only_finetune_takes_a_cell(run: Any) -> None:
    with pytest.raises(UsageError, match="not in both"):
        run("finetune a.yaml", "model: x")
    with pytest.raises(UsageError, match="takes no cell"):
        run("status", "model: x")
    with pytest.raises(UsageError, match="names no verb: %%qwen3ft finetune, %%qwen3ft preview, %%qwen3ft chat"):
        run("", "finetune")


def test_jobs_are_shown_resumed_followed_and_forgotten(run: Any, manager: StandInManager) -> None:
    job = StandInJob("20260102-030405-download-abcd", script=[FAILED])
    manager.all_jobs = [job]

    assert "no-space" in run("jobs abcd").text()
    assert run("jobs log abcd").text() == "one line\n"
    assert run("jobs resume abcd").job.status() == DONE
    assert run("jobs follow abcd").job is job
    assert run("jobs forget abcd").value == job.id
    with pytest.raises(JobNotFound):
        run("jobs abcd")


def test_an_empty_log_says_so(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("a", text="")]

    assert run("jobs log a").text() == "The log is empty."


def test_a_job_is_paused_slowed_down_and_resumed(run: Any, manager: StandInManager) -> None:
    job = StandInJob("a", script=[HALFWAY, DONE], controls={"paused": False, "max_speed": None})
    manager.all_jobs = [job]

    paused = run("jobs pause a").text()
    assert "a job" not in paused
    assert "paused" in paused
    assert "%qwen3ft jobs resume a" in paused
    assert "paused (at most 20.0 MB/s)" in run("jobs limit a 20MB").text()
    assert "paused" in run("jobs").text()
    assert job.controls == {"paused": True, "max_speed": 20_000_000}

    run("jobs limit a none")
    run("jobs resume a --detach")
    assert job.controls == {"paused": False, "max_speed": None}


def test_a_job_that_takes_no_changes_says_so(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("a", script=[HALFWAY])]

    for line in ("jobs pause a", "jobs limit a 5MB"):
        with pytest.raises(WrongJobState):
            run(line)


def test_stopping_asks_the_job(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("a", script=[HALFWAY])]

    assert run("stop a").job.status().state == "stopping"


def test_an_ambiguous_id_is_refused(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("20260102-a"), StandInJob("20260102-b"), StandInJob("20260102")]

    assert run("jobs 20260102").job.id == "20260102"
    assert run("jobs 2-b").job.id == "20260102-b"
    with pytest.raises(JobNotFound, match="3 jobs"):
        run("jobs 2026")


def test_a_job_forgotten_while_the_list_is_made_is_left_out(
    run: Any, manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = StandInJob("a", is_forgotten=True)
    monkeypatch.setattr(manager, "jobs", lambda: [gone, StandInJob("b")])

    assert [row["id"] for row in run("jobs")] == ["b"]


def test_a_run_is_evaluated_on_data_or_on_what_it_kept_out(run: Any, manager: StandInManager) -> None:
    run("evaluate runs/first --detach")
    view = run("evaluate a/b test.jsonl --max-length 64 --at-once --detach")

    assert isinstance(view, JobView)
    assert manager.was_asked("evaluate") == [
        ("runs/first", None, {}),
        ("a/b", "test.jsonl", {"max_length": 64}, "at once"),
    ]


def test_what_is_known_of_a_model_is_a_table_of_its_files_with_the_rest_below(
    run: Any, manager: StandInManager
) -> None:
    view = run(f"details {NAME}")

    assert isinstance(view, TableView)
    assert manager.was_asked("details") == [(NAME, None, True)]
    assert [file["sha256"] for file in view] == ["a" * 64]
    assert "sha256:aaaaaaaaaaaa" in view.html()
    assert "ModelScope: 2.5 MB/s" in view.text()
    assert f"On its way: {NAME}" in view.text() or f"Unfinished: {NAME}" in view.text()
    assert "apache-2.0" in view.text()
    assert "<table" in view.html()


def test_a_card_in_a_notebook_is_text_and_nothing_in_it_is_markup(run: Any, manager: StandInManager) -> None:
    view = run(f"details {NAME} --card --revision v1")

    assert isinstance(view, TextView)
    assert manager.was_asked("card") == [(NAME, "v1", True)]
    assert "# A card" in view.text()
    assert "<script" not in view.html()


def test_updates_are_a_table_with_the_cure_below(run: Any, manager: StandInManager) -> None:
    view = run(f"updates {NAME}")

    assert manager.was_asked("check_updates") == [(NAME, True)]
    assert [one["model_name"] for one in view] == [NAME]
    assert "The hub does not say which commit it has." in view.text()
    manager.check_updates = lambda *_, **__: manager.known_updates()  # type: ignore[method-assign]
    assert f"%qwen3ft download {NAME} --update" in run("updates").text()


def test_runs_are_compared_side_by_side(run: Any, manager: StandInManager) -> None:
    view = run("compare runs/first runs/second")

    assert manager.was_asked("compare") == [(("runs/first", "runs/second"),)]
    assert "epochs" in view.text()
    assert "runs/second" in view.html()
    assert view[0]["numbers"] == {"last_loss": [1.5, None]}


def test_a_run_is_merged_and_exported(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("20260102-030405-finetune-abcd", "finetune")]

    merged = run("merge abcd --into whole --base dequantized --overwrite --detach")
    run("export runs/first --detach")
    run(f"export {NAME} --to ollama --into out --detach")

    assert isinstance(merged, JobView)
    assert manager.was_asked("merge") == [("20260102-030405-finetune-abcd", "whole", "dequantized", True)]
    assert manager.was_asked("export") == [
        ("runs/first", "safetensors", None, False),
        (NAME, "ollama", "out", False),
    ]


def test_a_run_is_pushed_only_with_yes(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("20260102-030405-finetune-abcd", "finetune")]

    planned = run("push abcd me/first")
    pushed = run("push runs/first me/first --public --yes --detach")

    assert isinstance(planned, TableView)
    assert "Nothing has been uploaded" in planned.text()
    assert isinstance(pushed, JobView)
    assert manager.was_asked("push") == [
        ("20260102-030405-finetune-abcd", "me/first", "", True, False),
        ("runs/first", "me/first", "", False, True),
    ]


def test_a_target_that_is_none_is_refused_in_the_line(run: Any) -> None:
    with pytest.raises(UsageError, match="gguf"):
        run("export runs/first --to onnx")


def test_chat_asks_a_model_or_a_run(run: Any, manager: StandInManager, tmp_path: Path) -> None:
    manager.all_jobs = [StandInJob("20260102-030405-finetune-abcd", "finetune")]

    answer = run(f"chat {NAME} Who are you? --max-new-tokens 9")
    run('chat abcd "Who are you?"')
    run(f"chat {tmp_path} hello")

    assert isinstance(answer, TextView)
    assert str(answer) == "You asked: Who are you?"
    assert manager.was_asked("chat") == [
        (NAME, "Who are you?", {"max_new_tokens": 9}),
        ("20260102-030405-finetune-abcd", "Who are you?", {}),
        (str(tmp_path), "hello", {}),
    ]


def test_every_view_has_both_forms(run: Any, manager: StandInManager) -> None:
    manager.all_jobs = [StandInJob("a", script=[FAILED])]
    lines = ["status", "models", "cache", "jobs", "jobs a", "jobs log a", f"chat {NAME} x", "help", f"load {NAME}"]
    lines += [f"download {NAME} --dry-run"]

    for line in lines:
        view = run(line)
        assert isinstance(view, View)
        assert {"text/html", "text/plain"} <= set(view._repr_mimebundle_())


# errors


def test_an_error_is_shown_without_a_traceback(run: Any) -> None:
    with pytest.raises(NotCached) as caught:
        run("cache evict me/mine")

    assert caught.value._render_traceback_() == [  # type: ignore[attr-defined]
        "not-cached: me/mine is not in the cache.",
        "Download it.",
    ]


def test_the_notebook_shows_the_folder_that_a_browser_must_not_see(run: Any, manager: StandInManager) -> None:
    manager.failure = Qwen3ftError("No.", hint="Try.", details={"folder": "/home/me/\x1b[31mmodels"})

    with pytest.raises(Qwen3ftError) as caught:
        run("models")

    assert caught.value._render_traceback_()[-1] == "folder: /home/me/\ufffd[31mmodels"  # type: ignore[attr-defined]


def test_a_surprise_keeps_its_traceback(run: Any, manager: StandInManager) -> None:
    manager.failure = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError) as caught:
        run("models")

    assert not hasattr(caught.value, "_render_traceback_")


# completion


def completed(line: str, manager: StandInManager) -> list[str]:
    return complete(
        line,
        models=lambda: [model["model_name"] for model in manager.catalogue],
        jobs=lambda: [job.id for job in manager.all_jobs],
    )


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("%qwen3ft ", ["status", "download", "help"], [NAME]),
        ("%qwen3ft do", ["download"], [NAME]),
        ("job = %qwen3ft ", ["download"], []),
        ("qwen3ft ", ["download"], []),
        ("%%qwen3ft ", ["finetune"], []),
        ("%qwen3ft download ", [NAME, "--force", "--hub"], ["a-job"]),
        (f"%qwen3ft download {NAME} ", ["--force"], [NAME]),
        ("%qwen3ft download --force ", [NAME, "--hub"], ["--force"]),
        ("%qwen3ft download --hub ", ["modelscope", "huggingface"], ["--force"]),
        (f"%qwen3ft download {NAME} ", ["--dry-run", "--update", "--sources", "--in-place", "--max-speed"], [NAME]),
        (f"%qwen3ft download {NAME} --sources ", ["mirrors", "disk"], ["--force"]),
        ("%qwen3ft cache ", ["evict", "verify", "repair", "move"], [NAME]),
        ("%qwen3ft cache evict ", [NAME, "--all"], ["verify"]),
        ("%qwen3ft cache repair ", [NAME], ["verify"]),
        (f"%qwen3ft cache evict {NAME} --owner ", ["huggingface", "folder"], ["qwen3ft", NAME]),
        ("%qwen3ft cache list ", [], [NAME]),
        ("%qwen3ft details ", [NAME, "--card", "--revision"], ["--json"]),
        ("%qwen3ft updates ", [NAME, "--hub"], ["--json"]),
        ("%qwen3ft updates a/b c/d ", [NAME], []),
        ("%qwen3ft cache move ", [], [NAME]),
        ("%qwen3ft jobs ", ["pause", "resume", "limit", "a-job"], [NAME]),
        ("%qwen3ft jobs log ", ["a-job"], [NAME]),
        ("%qwen3ft jobs limit ", ["a-job"], [NAME]),
        ("%qwen3ft jobs limit a-job ", [], ["a-job"]),
        ("%qwen3ft stop ", ["a-job"], [NAME]),
        ("%qwen3ft help ", ["download"], []),
        ("%qwen3ft frob ", [], ["download"]),
        ("%qwen3ftx ", [], ["download"]),
        ("print('%qwen3ft ", [], ["download"]),
    ],
)
def test_what_can_come_next_is_offered(
    manager: StandInManager, line: str, offered: list[str], not_offered: list[str]
) -> None:
    manager.all_jobs = [StandInJob("a-job")]

    found = completed(line, manager)

    assert set(offered) <= set(found)
    assert not set(not_offered) & set(found)


def test_completion_stays_quiet_when_a_setting_is_wrong(shell: InteractiveShell) -> None:
    def fail() -> ModelManager:
        raise BadSetting("USE_MODELSCOPE='perhaps' is neither true nor false.")

    magics = Qwen3FTMagics(shell, fail)

    assert NAME not in magics.complete(SimpleNamespace(text_until_cursor="%qwen3ft download "))
    assert magics.complete(SimpleNamespace(text_until_cursor="%qwen3ft stop ")) == []


# loading the extension


def test_loading_the_extension_is_light() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance().run_line_magic('load_ext', 'qwen3ft_jupyter')\n"
        "print([name for name in ('torch', 'transformers', 'peft', 'datasets', 'ipywidgets') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def completions(shell: InteractiveShell, line: str) -> list[str]:
    with provisionalcompleter():
        return [completion.text for completion in shell.Completer.completions(line, len(line))]


def test_the_extension_is_loaded_twice_and_unloaded(shell: InteractiveShell) -> None:
    for _ in range(2):
        load_ipython_extension(shell)
    assert completions(shell, "%qwen3ft stat") == ["status"]

    unload_ipython_extension(shell)

    assert not hasattr(Qwen3ftError, "_render_traceback_")
    assert "qwen3ft" not in shell.magics_manager.magics["line"]
    assert "qwen3ft" not in shell.magics_manager.magics["cell"]
    assert "status" not in completions(shell, "%qwen3ft stat")


def test_the_slug_of_the_stand_in_is_a_real_one() -> None:
    from qwen3ft_jupyter.hubs.names import parse_repo_id, slug

    assert slug(parse_repo_id(NAME)) == SLUG
