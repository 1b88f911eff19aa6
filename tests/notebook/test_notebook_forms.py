"""The forms call the manager when their buttons are clicked, show what comes of it, and keep nothing that is secret."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from ipywidgets import Widget

from qwen3ft_jupyter.errors import BadConfig, NoSpace, Stopped
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.manager import get_model_manager
from qwen3ft_jupyter.notebook.forms import FineTuneForm, ModelPicker, with_hub
from tests.faults.scarcity import limit_threads
from tests.jobs.following import wait_until
from tests.server.standin import FAILED, HALFWAY, HOSTILE, StandInManager

if TYPE_CHECKING:
    from pathlib import Path

    from markupsafe import Markup

    from qwen3ft_jupyter.manager import ModelManager

LIMIT_S = 120.0


@pytest.fixture
def manager(tmp_path: Path) -> StandInManager:
    return StandInManager(tmp_path)


@pytest.fixture
def real(tmp_path: Path) -> ModelManager:
    """What looks at a config before it starts anything."""
    return get_model_manager(cache_dir=tmp_path / "cache", state_dir=tmp_path / "state", offline=True)


def picker(manager: StandInManager, **options: Any) -> ModelPicker:
    return ModelPicker(manager.real, **options)


def form(manager: StandInManager) -> FineTuneForm:
    return FineTuneForm(manager.real)


def wait(panel: Any) -> str:
    panel.follower.join(LIMIT_S)
    assert not panel.follower.is_alive()
    return str(panel.output.value)


def test_importing_the_forms_does_not_import_ipywidgets() -> None:
    code = "import qwen3ft_jupyter.notebook.forms, sys; print('ipywidgets' in sys.modules, 'torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]


def test_the_picker_offers_every_model_with_its_size_and_use(manager: StandInManager) -> None:
    labels = [label for label, _ in picker(manager).model.options]

    assert labels == [
        "Qwen/Qwen3-0.6B · 1.5 GB · quick experiments · in the cache",
        "Qwen/Qwen3-4B · 1.5 GB · recommended for production",
    ]


def test_a_click_downloads_the_chosen_model_and_shows_the_end(manager: StandInManager) -> None:
    shown = picker(manager)
    shown.model.value = "Qwen/Qwen3-4B"

    shown.download_button.click()

    assert manager.was_asked("download") == [("Qwen/Qwen3-4B", {})]
    assert "succeeded" in wait(shown.panel)
    assert shown.panel.stop_button.disabled


def test_the_hub_that_is_chosen_is_asked(manager: StandInManager, tmp_path: Path) -> None:
    other = StandInManager(tmp_path)
    asked = []

    def for_hub(_: Any, hub: str) -> Any:
        asked.append(hub)
        return other

    shown = picker(manager, for_hub=for_hub)
    shown.hub.value = "huggingface"
    shown.download_button.click()
    wait(shown.panel)

    assert asked == ["huggingface"]
    assert len(other.was_asked("download")) == 1
    assert manager.was_asked("download") == []


def test_another_hub_changes_nothing_but_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USE_MODELSCOPE", raising=False)
    from qwen3ft_jupyter.manager import get_model_manager

    mine = get_model_manager(cache_dir=tmp_path / "mine", state_dir=tmp_path / "state")
    other = with_hub(mine, "huggingface")

    assert with_hub(mine, "modelscope") is mine
    assert other.settings.hub == "huggingface"
    assert other.settings.cache_dir == tmp_path / "mine"


def test_stop_asks_the_job_through_its_folder(manager: StandInManager) -> None:
    manager.next_script = [HALFWAY]
    shown = picker(manager)
    shown.download_button.click()
    assert not shown.panel.stop_button.disabled

    shown.panel.stop_button.click()

    assert "stopped" in wait(shown.panel)


def test_a_refusal_is_shown_and_not_raised(manager: StandInManager) -> None:
    shown = picker(manager)
    manager.failure = NoSpace(f"No room for {HOSTILE}.", hint="Free 1 GB.")

    shown.download_button.click()

    assert "no-space" in shown.panel.problem.value
    assert HOSTILE not in shown.panel.problem.value


def test_a_failed_job_shows_why(manager: StandInManager) -> None:
    manager.next_script = [HALFWAY, FAILED]
    shown = picker(manager)

    shown.download_button.click()

    assert "No room." in wait(shown.panel)


def test_a_job_that_is_forgotten_meanwhile_does_no_harm(
    manager: StandInManager, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = picker(manager)
    shown.download_button.click()
    manager.all_jobs[0].is_forgotten = True

    wait(shown.panel)
    shown.panel.stop_button.click()

    assert capfd.readouterr().err == ""


def test_a_click_starts_what_the_form_says(manager: StandInManager) -> None:
    shown = form(manager)
    shown.model.value = "Qwen/Qwen3-4B"
    shown.data.value = " train.jsonl "
    shown.learning_rate.value = "2e-4"
    shown.batch_size.value = "4"

    shown.start_button.click()

    assert manager.was_asked("fine_tune") == [
        (
            {
                "model": "Qwen/Qwen3-4B",
                "data": "train.jsonl",
                "method": "lora",
                "learning_rate": 2e-4,
                "batch_size": 4,
            },
        )
    ]
    assert "succeeded" in wait(shown.panel)


def test_every_field_that_can_be_typed_or_chosen_is_in_the_form(manager: StandInManager) -> None:
    shown = form(manager)
    schema = FineTuneConfig.json_schema()
    lora = schema["$defs"]["LoraConfig"]["properties"]

    dlc = schema["$defs"]["DlcConfig"]["properties"]
    groups_of_fields = {"lora", "dlc", "columns"}
    assert set(shown.fields) == {
        *(set(schema["properties"]) - groups_of_fields),
        *(f"lora.{name}" for name in lora),
        *(f"dlc.{name}" for name in dlc),
    }
    assert shown.fields["lora.r"].widget.description == lora["r"]["title"]
    assert shown.max_length.tooltip == schema["properties"]["max_length"]["description"]


def test_only_what_differs_from_its_default_is_in_the_config(manager: StandInManager) -> None:
    shown = form(manager)
    shown.data.value = "train.jsonl"
    shown.preset.value, shown.preset.value, shown.packing.value = "quick", "", False
    shown.fields["lora.r"].widget.value, shown.fields["lora.targets"].widget.value = "32", "q_proj, v_proj"
    shown.fields["lora.dora"].widget.value = True
    shown.schedule.value = "linear"
    shown.epochs.value = "1.5"

    config = shown.config()

    assert config == {
        "model": "Qwen/Qwen3-0.6B",
        "data": "train.jsonl",
        "method": "lora",
        "epochs": 1.5,
        "schedule": "linear",
        "packing": False,
        "lora": {"r": 32, "targets": "q_proj, v_proj", "dora": True},
    }
    FineTuneConfig.from_dict(config)


@pytest.mark.parametrize(("typed", "devices"), [("2", 2), ("0, 1", (0, 1)), ("all", "all"), ("", 1)])
def test_devices_are_typed_as_a_number_a_list_or_a_word(typed: str, devices: object, manager: StandInManager) -> None:
    shown = form(manager)
    shown.data.value, shown.fields["devices"].widget.value = "train.jsonl", typed

    assert FineTuneConfig.from_dict(shown.config()).devices == devices


def test_a_preset_is_not_overruled_by_what_nobody_typed(manager: StandInManager) -> None:
    shown = form(manager)
    shown.data.value, shown.preset.value = "train.jsonl", "thorough"

    assert FineTuneConfig.from_dict(shown.config()).epochs == 3.0


def test_the_numbers_in_grey_are_those_of_preset_and_method(manager: StandInManager) -> None:
    shown = form(manager)
    before = [shown.epochs.placeholder, shown.learning_rate.placeholder, shown.fields["lora.r"].widget.placeholder]

    shown.preset.value = "thorough"
    with_preset = [shown.epochs.placeholder, shown.learning_rate.placeholder, shown.fields["lora.r"].widget.placeholder]
    shown.preset.value, shown.method.value = "", "full"

    assert before == ["1.0", "0.0002", "16"]
    assert with_preset == ["3.0", "0.0001", "32"]
    assert (shown.epochs.placeholder, shown.learning_rate.placeholder) == ("1.0", "1e-05")


def test_only_fields_of_account_are_shown_and_those_that_were_filled_in(manager: StandInManager) -> None:
    shown = form(manager)
    names = ("beta", "rpo_alpha", "trainable_layers", "lora.r", "dlc.region")

    def visible() -> list[str]:
        return [name for name in names if shown.fields[name].widget.layout.display != "none"]

    first = visible()
    shown.objective.value, shown.launcher.value = "orpo", "pai-dlc"
    chosen = visible()
    shown.beta.value, shown.objective.value, shown.method.value, shown.launcher.value = "0.2", "sft", "full", "local"

    assert first == ["lora.r"]
    assert chosen == ["beta", "lora.r", "dlc.region"]
    assert visible() == ["beta", "trainable_layers"]


def test_the_form_shows_the_yaml_it_runs(manager: StandInManager) -> None:
    shown = form(manager)
    shown.data.value = "<b>.jsonl"

    assert "%%qwen3ft finetune\nmodel: Qwen/Qwen3-0.6B\ndata: &lt;b&gt;.jsonl\nmethod: lora" in shown.preview.value


def test_what_is_still_missing_is_listed_while_one_types(
    manager: StandInManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = form(manager)
    shown.epochs.value = "-1"
    before = shown.preview.value
    shown.data.value, shown.output_dir.value, shown.epochs.value = "train.jsonl", "runs/a", "2"

    assert "Before it can start:" in before
    assert "data" in before
    assert "epochs" in before
    assert "Before it can start:" not in shown.preview.value


def test_the_data_and_the_plan_are_shown_beside_the_form(manager: StandInManager) -> None:
    shown = form(manager)
    shown.data.value = "train.jsonl"

    shown.data_button.click()
    seen = looked(shown)
    shown.plan_button.click()
    planned = looked(shown)

    assert "Yes." in seen
    assert HOSTILE not in seen
    assert "T4" in planned
    for name in ("preview", "plan_fine_tune"):
        [(config, _)] = manager.was_asked(name)
        assert config == {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl", "method": "lora"}


def test_a_look_that_fails_says_why_and_one_that_is_stopped_says_so(real: ModelManager) -> None:
    shown = FineTuneForm(real)
    shown.data.value = "train.jsonl"
    shown.data_button.click()
    failed = looked(shown)
    shown.looking.look("Waiting", wait_for_stop)
    shown.looking.stop_button.click()

    assert "is not in the cache" in failed
    assert "%qwen3ft download Qwen/Qwen3-0.6B" in failed
    assert "Stopped." in looked(shown)
    assert shown.looking.stop_button.layout.display == "none"


def test_a_look_that_fails_as_nobody_foresaw_says_so_and_is_over(manager: StandInManager) -> None:
    def fail(_: threading.Event) -> Markup:
        raise OSError("gone")

    shown = form(manager)
    shown.looking.look("Waiting", fail)

    assert "That failed (OSError)." in looked(shown)
    assert shown.looking.stop_button.layout.display == "none"


def test_a_new_look_counts_and_the_one_before_it_does_not(manager: StandInManager) -> None:
    shown = form(manager)
    shown.looking.look("Waiting", wait_for_stop)
    first = shown.looking.thread
    shown.plan_button.click()
    assert first is not None
    first.join(LIMIT_S)

    assert "T4" in looked(shown)


def looked(shown: FineTuneForm) -> str:
    assert shown.looking.thread is not None
    shown.looking.thread.join(LIMIT_S)
    assert not shown.looking.thread.is_alive()
    return str(shown.looking.output.value)


def wait_for_stop(stop: threading.Event) -> Markup:
    assert stop.wait(LIMIT_S)
    raise Stopped("It was stopped.")


def test_the_yaml_that_is_shown_is_what_the_cell_magic_reads(manager: StandInManager) -> None:
    from qwen3ft_jupyter.finetune.strict_yaml import parse_yaml

    shown = form(manager)
    shown.data.value = "数据/train.jsonl"
    shown.learning_rate.value = "0.0002"

    written = unescape(shown.preview.value).split("%%qwen3ft finetune\n")[1].split("</pre>")[0]

    assert parse_yaml(written) == shown.config()


def test_a_number_that_is_none_is_named_at_once(real: ModelManager) -> None:
    shown = FineTuneForm(real)
    shown.epochs.value = "many"

    assert "epochs" in shown.preview.value
    shown.start_button.click()
    assert "epochs" in shown.panel.problem.value
    assert real.jobs() == []
    with pytest.raises(BadConfig):
        shown.config()


def test_what_is_saved_with_the_notebook_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = get_model_manager(cache_dir=tmp_path, state_dir=tmp_path, hf_token="hf_verysecret", offline=True)
    before = set(Widget.get_manager_state()["state"])

    FineTuneForm(manager)
    ModelPicker(manager)

    state = {key: value for key, value in Widget.get_manager_state()["state"].items() if key not in before}
    assert len(state) > 10
    assert "hf_verysecret" not in json.dumps(state, default=repr)


def test_everything_that_is_wrong_is_named_and_stays_as_it_is_typed(real: ModelManager) -> None:
    shown = FineTuneForm(real)
    shown.epochs.value, shown.learning_rate.value, shown.batch_size.value = "many", "fast", "1.5"
    shown.model.value, shown.data.value, shown.output_dir.value = "Qwen/Qwen3-7B", "nowhere.jsonl", "oss://bucket/x"

    shown.start_button.click()

    for name in (
        "epochs: 'many'",
        "learning_rate: 'fast'",
        "batch_size: '1.5'",
        "output_dir: 'x' is an address",
        'never published "Qwen/Qwen3-7B"',
        "nowhere.jsonl does not exist",
    ):
        assert name in unescape(shown.panel.problem.value)
    assert [shown.epochs.value, shown.learning_rate.value, shown.batch_size.value] == ["many", "fast", "1.5"]


def test_a_form_says_what_is_wrong_in_the_readers_language(real: ModelManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN3FT_LANG", "zh")
    shown = FineTuneForm(real)
    shown.epochs.value = "many"

    shown.start_button.click()

    assert "epochs：&#39;many&#39; 不是" in shown.panel.problem.value
    assert "epochs：&#39;many&#39; 不是" in shown.preview.value
    assert "缺少" in shown.panel.problem.value


def test_a_whole_number_is_shown_as_it_is_typed(manager: StandInManager) -> None:
    shown = form(manager)
    shown.epochs.value = shown.learning_rate.value = shown.batch_size.value = "3"

    for name in ("epochs", "learning_rate", "batch_size"):
        assert f"{name}: 3\n" in shown.preview.value


@pytest.mark.parametrize("make", [picker, form])
def test_a_second_click_does_not_lose_the_job_of_the_first(manager: StandInManager, make: Any) -> None:
    manager.next_script = [HALFWAY]
    shown = make(manager)
    button = shown.download_button if make is picker else shown.start_button

    button.click()
    button.click()

    [job] = manager.all_jobs
    assert job.id in shown.panel.problem.value
    wait_until(lambda: job.id in shown.panel.output.value)
    shown.panel.stop_button.click()
    assert "stopped" in wait(shown.panel)
    assert shown.panel.problem.value == ""
    button.click()
    assert len(manager.all_jobs) == 2
    assert shown.panel.problem.value == ""
    shown.panel.stop_button.click()
    wait(shown.panel)


def test_a_form_whose_job_is_forgotten_starts_the_next(manager: StandInManager) -> None:
    shown = picker(manager)
    shown.download_button.click()
    wait(shown.panel)
    manager.all_jobs[0].is_forgotten = True

    shown.download_button.click()

    assert "succeeded" in wait(shown.panel)
    assert len(manager.was_asked("download")) == 2


def test_stop_is_not_shown_before_there_is_a_job(manager: StandInManager) -> None:
    shown = picker(manager)
    before = shown.panel.stop_button.layout.display

    shown.download_button.click()
    wait(shown.panel)

    assert (before, shown.panel.stop_button.layout.display) == ("none", "")


def test_data_files_are_suggested(manager: StandInManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("a.jsonl", "data/b.csv", "notes.txt", "data/c.parquet"):
        (tmp_path / name).write_text("")

    assert form(manager).data.options == ("a.jsonl", "data/b.csv", "data/c.parquet")


@pytest.mark.parametrize(("make", "command"), [(picker, "%qwen3ft download NAME"), (form, "%%qwen3ft finetune")])
def test_where_no_widget_is_shown_a_form_says_what_to_type(
    manager: StandInManager, monkeypatch: pytest.MonkeyPatch, make: Any, command: str
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))

    make(manager)._ipython_display_()

    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    assert command in shown[0]["text/html"]
    assert command in shown[0]["text/plain"]


def test_where_the_system_has_no_thread_the_job_is_shown_as_it_is(
    manager: StandInManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = picker(manager)
    limit_threads(monkeypatch, 0)

    shown.download_button.click()

    assert "Download Qwen/" in shown.panel.output.value
