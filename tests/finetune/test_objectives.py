"""Texts and preferences are trained further, resumed and reported on as conversations are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import Stopped
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.earlier import check_parent, inherit
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.report.reporting import everyday_prompts
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.work import Work
from tests.finetune.lessons import pair_rows, rows
from tests.finetune.test_adapters import StoppingReporter
from tests.finetune.test_trainer import Ear

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.train

PREFERENCES = ("dpo", "orpo")
OBJECTIVES = ("pretrain", *PREFERENCES)


@pytest.fixture
def objective_data(tmp_path: Path, data: Path) -> dict[str, str]:
    """A file of rows for each objective."""

    def write(name: str, rows_of_it: Iterable[dict[str, Any]]) -> str:
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows_of_it)), encoding="utf-8")
        return str(tmp_path / name)

    texts = ({"text": f"{row['messages'][0]['content']} {row['messages'][1]['content']}"} for row in rows())
    pairs = write("pairs.jsonl", pair_rows())
    return {"sft": str(data), "pretrain": write("texts.jsonl", texts), "dpo": pairs, "orpo": pairs}


def trained(model: Path, fields: dict[str, Any], name: str, **more: Any) -> Path:
    """Train into a folder of this name, and return it."""
    out = Path(fields["output_dir"]).with_name(name)
    values = inherit({**fields, **more, "output_dir": str(out)})
    config = FineTuneConfig.from_dict(values)
    check_parent(config)
    train(config, model_folder=model)
    return out


def curve(folder: Path, *names: str) -> list[float]:
    return [row[name] for row in read_metrics(folder / results.METRICS) for name in names or ("loss",) if name in row]


def weights(folder: Path) -> bytes:
    (path,) = [*folder.glob("adapter/*.safetensors"), *folder.glob("model/*.safetensors")]
    return path.read_bytes()


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_stopped_run_goes_on_bit_for_bit_and_reports_as_if_it_had_not(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str], objective: str, method: str
) -> None:
    fields |= {"objective": objective, "data": objective_data[objective], "method": method, "eval_fraction": 0.25}
    fields |= {"max_steps": 8, "save_steps": None, "learning_rate": 1e-3, "eval_steps": 2, "report": True}
    whole = trained(tiny, fields, "whole")
    again = FineTuneConfig.from_dict({**fields, "output_dir": str(whole.with_name("again"))})
    stopping = StoppingReporter(4)

    with pytest.raises(Stopped):
        train(again, model_folder=tiny, work=Work(stopping, stopping.stop))
    train(again, model_folder=tiny, resume=True)

    out = Path(again.output_dir)
    names = ("loss", "eval_loss", "rewards/margins")
    assert curve(out, *names) == curve(whole, *names)
    assert weights(out) == weights(whole)
    one, other = (json.loads((folder / results.REPORT).read_text("utf-8")) for folder in (out, whole))
    assert one["held_out"] == other["held_out"]
    assert one["asked"] == other["asked"]


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("objective", PREFERENCES)
def test_what_was_tuned_is_taught_preferences_and_resumed_against_what_it_was(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str], objective: str, method: str
) -> None:
    """As most preference tuning begins: with a supervised run, which is the reference of DPO all along."""
    quiet = {"save_steps": None, "max_steps": 6, "schedule": "constant", "warmup_ratio": 0, "method": method}
    first = trained(tiny, {**fields, **quiet}, "first", learning_rate=1e-2 if method == "lora" else 1e-3)
    given = {"init_from": str(first), "objective": objective, "data": objective_data[objective], "report": False}
    given |= {"output_dir": fields["output_dir"], "learning_rate": 1e-3}
    whole = trained(tiny, given, "whole")
    config = FineTuneConfig.from_dict(inherit({**given, "output_dir": str(whole.with_name("again"))}))
    stopping = StoppingReporter(3)

    with pytest.raises(Stopped):
        train(config, model_folder=tiny, work=Work(stopping, stopping.stop))
    train(config, model_folder=tiny, resume=True)

    out = Path(config.output_dir)
    assert (config.method, config.lora.r, config.max_steps) == (method, 4, 6)
    assert curve(out) == curve(whole)
    assert weights(out) == weights(whole)
    assert "| Trained further from | first |" in (out / results.CARD).read_text("utf-8")
    rewards = curve(whole, "rewards/chosen", "rewards/rejected")
    if objective == "dpo" and method == "full":  # dropout of an adapter is in what it says, and not in its reference
        assert rewards[:2] == pytest.approx([0, 0], abs=1e-4)
        assert curve(whole)[0] == pytest.approx(math.log(2), abs=1e-4)
    assert curve(whole)[-1] < curve(whole)[0]


@pytest.mark.parametrize(("first", "second"), [("dpo", "dpo"), ("orpo", "dpo"), ("dpo", "sft"), ("pretrain", "orpo")])
def test_a_run_of_one_objective_is_trained_further_with_another(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str], first: str, second: str
) -> None:
    """Its own fields are kept where they are still meant, and left behind where not."""
    of_first = {"beta": 0.3} if first in PREFERENCES else {}
    fields |= {"max_steps": 3, "save_steps": None}
    before = trained(tiny, fields, "before", objective=first, data=objective_data[first], **of_first)

    given = {"init_from": str(before), "objective": second, "output_dir": fields["output_dir"], "report": False}
    after = trained(tiny, given, "after", **({} if first == second else {"data": objective_data[second]}))

    record = json.loads((after / results.CONFIG).read_text("utf-8"))
    assert record["objective"] == second
    assert record["beta"] == (0.3 if first == second else None)
    assert record["parent"]["folder"] == "before"
    assert len(curve(after)) == 3
    assert weights(after) != weights(before)


@pytest.mark.parametrize("objective", PREFERENCES)
def test_the_report_of_preferences_has_a_loss_without_perplexity_and_answers(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str], objective: str
) -> None:
    fields |= {"objective": objective, "data": objective_data[objective], "eval_fraction": 0.25, "report": True}

    out = trained(tiny, fields, "run", max_steps=8, save_steps=None, learning_rate=1e-2)

    report = json.loads((out / results.REPORT).read_text("utf-8"))
    before, after = report["held_out"]["before"], report["held_out"]["after"]
    assert report["is_token_loss"] is False
    assert (before["perplexity"], after["perplexity"]) == (None, None)
    assert after["loss"] < before["loss"]
    if objective == "dpo":
        assert before["loss"] == pytest.approx(math.log(2), abs=1e-4)
    kinds = [one["kind"] for one in report["asked"]]
    assert kinds == ["row"] * 6 + ["everyday"] * len(everyday_prompts())
    chosen = {row["chosen"] for row in pair_rows()}
    assert all(one["reference"] in chosen for one in report["asked"] if one["kind"] == "row")
    assert set(report["scores"]) == {"before", "after"}
    card = (out / results.CARD).read_text("utf-8")
    assert "| Loss | " in card
    assert "Perplexity" not in card
    assert f"- {objective}" in card


def test_the_report_of_texts_asks_how_they_go_on(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str]
) -> None:
    fields |= {"objective": "pretrain", "data": objective_data["pretrain"], "eval_fraction": 0.25, "report": True}

    out = trained(tiny, fields, "run", max_steps=8, save_steps=None, learning_rate=1e-2)

    report = json.loads((out / results.REPORT).read_text("utf-8"))
    before, after = report["held_out"]["before"], report["held_out"]["after"]
    assert after["loss"] < before["loss"]
    assert after["perplexity"] == pytest.approx(math.exp(after["loss"]))
    rows_asked = [one for one in report["asked"] if one["kind"] == "row"]
    assert len(rows_asked) == 6
    texts = [json.loads(line)["text"] for line in Path(objective_data["pretrain"]).read_text("utf-8").splitlines()]
    whole = {"".join(text.split()): text for text in texts}
    for one in rows_asked:  # the first half, and how it goes on
        text = whole["".join(f"{one['prompt']}{one['reference']}".split())]
        assert len(one["prompt"]) > len(text) / 4
    assert set(report["scores"]) == {"before", "after"}


def test_a_model_without_a_chat_template_is_taught_texts_with_a_report(
    tiny: Path, fields: dict[str, Any], objective_data: dict[str, str], tmp_path: Path
) -> None:
    import shutil

    bare = shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns(".qwen3ft"))
    path = bare / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    del config["chat_template"]
    path.write_text(json.dumps(config), encoding="utf-8")
    fields |= {"objective": "pretrain", "data": objective_data["pretrain"], "report": True, "prompts": ["What is"]}
    ear = Ear()

    train(FineTuneConfig.from_dict({**fields, "max_steps": 2}), model_folder=bare, work=Work(ear))

    report = json.loads((Path(fields["output_dir"]) / results.REPORT).read_text("utf-8"))
    assert [one["kind"] for one in report["asked"]][:2] == ["prompt", "row"]
    assert all(one["after"] is not None for one in report["asked"])
