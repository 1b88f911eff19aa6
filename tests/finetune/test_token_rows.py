"""The tokens of its template that a base model has not learned are learned: their rows of embedding and head."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, Stopped
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.adapter import read_adapter
from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.merge import Base, Origin, merge, plan_merge
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.model import load_for_training
from qwen3ft_jupyter.finetune.planning import base_model, plan_run
from qwen3ft_jupyter.finetune.samples import Pair
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import LoadOptions, load_model_and_tokenizer
from qwen3ft_jupyter.loading.offline import quiet_libraries
from qwen3ft_jupyter.work import SILENT, Reporter, Work
from tests.finetune.lessons import pair_rows
from tests.finetune.test_loss import SAMPLES, loss_and_gradients, make, peak
from tests.finetune.test_preference_losses import ends
from tests.finetune.test_trainer import Ear
from tests.loading.tiny_qwen3 import make_model

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train

ROWS = [9, 14, 75]
"""Tokens of the samples of `test_loss`, some in the loss and some not, and one twice."""
TOKENS = [5, 9, 40, 7, 3, 22, 2, 31]


# What is computed


@pytest.fixture(params=["tied", "untied"])
def adapted(request: pytest.FixtureRequest) -> Any:
    """A model with an adapter, and rows of two matrices or of one, as peft itself computes with them."""
    return with_rows(is_tied=request.param == "tied")


def with_rows(*, is_tied: bool) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    rows = {"embed_tokens": ROWS} | ({} if is_tied else {"lm_head": ROWS})
    shape = {"r": 4, "target_modules": ["q_proj", "down_proj"], "init_lora_weights": False}
    with quiet_libraries():
        model = get_peft_model(
            make(tied=is_tied, adapter=False), LoraConfig(task_type="CAUSAL_LM", trainable_token_indices=rows, **shape)
        )
    torch.manual_seed(2)
    for name, one in model.named_parameters():
        if "trainable_tokens" in name:
            one.data += 0.3 * torch.randn_like(one)
    return model


@pytest.mark.parametrize("rows_at_once", [1, 7, 1000])
def test_loss_and_every_gradient_are_those_of_peft(
    adapted: Any, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen3ft_jupyter.finetune.compute import loss as lean
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss
    from qwen3ft_jupyter.loading.token_rows import compute_lean

    monkeypatch.setattr(lean, "CHUNK_ELEMENTS", rows_at_once * 211)
    layout = Layout(pad_id=0, most_tokens=1000)
    step = layout.collate(SAMPLES)
    (batch,) = step["micro_batches"]
    logits = adapted(**batch).logits
    expected, theirs = loss_and_gradients(adapted, adapted(**batch).loss)
    compute_lean(adapted)

    for is_lean in (True, False):
        found, ours = loss_and_gradients(adapted, TokenLoss(layout, is_lean).share(adapted, batch, step)[0])
        assert found == pytest.approx(expected, rel=1e-5)
        assert_alike(ours, theirs)
    assert any("trainable_tokens" in name and bool(one.any()) for name, one in theirs.items())
    assert (adapted(**batch).logits - logits).abs().max() <= 1e-5


def test_a_head_with_rows_of_its_own_is_plain(adapted: Any) -> None:
    """Else the loss would make the logits of all tokens."""
    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head
    from qwen3ft_jupyter.loading.token_rows import compute_lean

    compute_lean(adapted)

    assert has_plain_head(adapted)
    with adapted.disable_adapter():
        assert has_plain_head(adapted)


def assert_alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        assert (gradient - theirs[name]).abs().max() <= 1e-5 * theirs[name].abs().max(), name


def test_log_probabilities_of_answers_are_those_of_peft_with_and_without_the_adapter(adapted: Any) -> None:
    from qwen3ft_jupyter.finetune.compute.preferences import OddsRatioLoss, log_probabilities
    from qwen3ft_jupyter.loading.token_rows import compute_lean

    pairs = [Pair(ends(3, 14), ends(3, 20)), Pair(ends(60, 22), ends(60, 11))]
    step = OddsRatioLoss(Layout(0, 1000, packs=True), is_lean=True, beta=0.1).collate(pairs)
    (batch,) = step["micro_batches"]
    expected, theirs = loss_and_gradients(adapted, log_probabilities(adapted, batch, is_lean=False).sums.sum())
    with adapted.disable_adapter():
        without = log_probabilities(adapted, batch, is_lean=False).sums
    compute_lean(adapted)

    found, ours = loss_and_gradients(adapted, log_probabilities(adapted, batch, is_lean=True).sums.sum())

    assert found == pytest.approx(expected, rel=1e-5)
    assert_alike(ours, theirs)
    with adapted.disable_adapter():
        assert (log_probabilities(adapted, batch, is_lean=True).sums - without).abs().max() < 1e-3
    assert (log_probabilities(adapted, batch, is_lean=True).sums - without).abs().max() > 1


def test_a_pass_makes_no_copy_of_the_embedding_or_the_head() -> None:
    """Counted on tensors without contents, at the vocabulary of Qwen3: peft's own makes one of each, and gradients."""
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from qwen3ft_jupyter.finetune.compute.fakes import fake_tensors
    from qwen3ft_jupyter.finetune.compute.objectives import TokenLoss
    from qwen3ft_jupyter.loading.token_rows import compute_lean

    shape = {"hidden_size": 512, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 1, "head_dim": 8, "vocab_size": 151_936, "tie_word_embeddings": False}
    one_matrix = 151_936 * 512 * 4
    rows = {"embed_tokens": ROWS, "lm_head": ROWS}
    config = LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM", trainable_token_indices=rows)
    objective = TokenLoss(Layout(0, 64), is_lean=True)
    step = objective.collate(SAMPLES[:1])
    (batch,) = step["micro_batches"]
    with fake_tensors(chosen=15, shares_rows=False, until=time.process_time() + 300), quiet_libraries():
        model = get_peft_model(Qwen3ForCausalLM(Qwen3Config(**shape, **more)), config)

        def theirs() -> None:
            model(**batch).loss.backward()

        def ours() -> None:
            objective.share(model, batch, step)[0].backward()

        most = peak(theirs, *model.parameters())
        model.zero_grad()
        compute_lean(model)
        least = peak(ours, *model.parameters())

    assert most > 2 * one_matrix
    assert least < one_matrix / 2


# What is trained


def make_base(folder: Path, *, tied: bool = True) -> Path:
    """Write a model that ends texts with <|endoftext|>, though its template ends answers with <|im_end|>."""
    make_model(folder, tied=tied)
    for name, eos in (("tokenizer_config.json", "<|endoftext|>"), ("generation_config.json", 0)):
        path = folder / name
        key = "eos_token" if isinstance(eos, str) else "eos_token_id"
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), key: eos}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Base models by whether their head is the embedding."""
    return {tied: make_base(tmp_path_factory.mktemp("base") / "Tiny-Qwen3-Base", tied=tied) for tied in (True, False)}


class StoppingReporter(Reporter):
    def __init__(self, step: int) -> None:
        self.step, self.stop = step, threading.Event()

    def metrics(self, values: Mapping[str, float]) -> None:
        if values["step"] == self.step:
            self.stop.set()


def logits(folder: Path, adapter: Path | None = None) -> Any:
    import torch

    with quiet_libraries():
        options = LoadOptions(device="cpu", dtype="float32", adapter=adapter)
        model = load_model_and_tokenizer(folder, options).model
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits


KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"lora": {"dora": True}},
    "rslora and loraplus": {"lora": {"rslora": True, "loraplus_ratio": 4}},
    "qlora": {"quantization": "4bit"},
    "orpo": {"objective": "orpo"},
    "dpo": {"objective": "dpo"},
}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_reloaded_resumed_and_merged_as_they_were_trained(
    bases: dict[bool, Path],
    fields: dict[str, Any],
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tied: bool,
) -> None:
    """Reloaded: the same logits to the bit. Resumed: the same losses and bytes. Merged: to 1e-4 in float32."""
    import torch
    from safetensors.torch import load_file

    trained: list[Any] = []
    save = results.save_result

    def spy(ready: Any, *given: Any, **named: Any) -> None:
        with torch.no_grad():
            trained.append(ready.model.eval()(torch.tensor([TOKENS])).logits)
        save(ready, *given, **named)

    monkeypatch.setattr(results, "save_result", spy)
    base, out = bases[tied], Path(fields["output_dir"])
    given = {**KINDS[kind], "lora": {"r": 4, "alpha": 8, "dropout": 0.2, **KINDS[kind].get("lora", {})}}
    fields |= {"max_steps": 6, "save_steps": None, **given}
    if kind in {"dpo", "orpo"}:
        (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, pair_rows())), encoding="utf-8")
        fields["data"] = str(tmp_path / "pairs.jsonl")

    outcome = train(FineTuneConfig.from_dict(fields), model_folder=base)

    adapter = out / results.ADAPTER
    weights = load_file(adapter / "adapter_model.safetensors")
    rows = {name: one for name, one in weights.items() if "trainable_tokens" in name}
    assert outcome.token_rows == ("<|im_start|>", "<|im_end|>", "<think>", "</think>")
    assert [tuple(one.shape) for one in rows.values()] == [(4, 32)] * (1 if tied else 2)
    indices = json.loads((adapter / "adapter_config.json").read_text("utf-8"))["trainable_token_indices"]
    before = load_file(base / "model.safetensors")["model.embed_tokens.weight"][indices["embed_tokens"]]
    (learned,) = (one for name, one in rows.items() if "embed_tokens" in name)
    assert (learned != before).any(-1).all()
    if kind != "qlora":  # bitsandbytes evaluates otherwise than it trains on some processors
        assert (logits(base, adapter) - trained[0]).abs().max() == 0

    stopping, whole = StoppingReporter(3), read_metrics(out / results.METRICS)
    again = FineTuneConfig.from_dict({**fields, "output_dir": str(out.with_name("again"))})
    with pytest.raises(Stopped):
        train(again, model_folder=base, work=Work(stopping, stopping.stop))
    train(again, model_folder=base, resume=True)
    resumed = read_metrics(Path(again.output_dir) / results.METRICS)
    assert [row["loss"] for row in resumed] == [row["loss"] for row in whole]
    name = Path(results.ADAPTER) / "adapter_model.safetensors"
    assert (out / name).read_bytes() == (Path(again.output_dir) / name).read_bytes()

    plan = plan_merge(
        read_adapter(adapter), Base(base, "Qwen/Tiny-Qwen3"), Origin("run", out), tmp_path / "merged", overwrite=False
    )
    assert merge(plan, Work()).self_test["exact"] <= 1e-4
    whole_base = logits(base, adapter)
    assert (logits(tmp_path / "merged") - whole_base).abs().max() <= 1e-4 * max(1, whole_base.abs().max())


def test_packed_is_what_unpacked_is(bases: dict[bool, Path], fields: dict[str, Any]) -> None:
    still = {**fields, "lora": {"r": 4, "alpha": 8}, "max_steps": 4, "save_steps": None}
    curves = []
    for packing in (True, False):
        out = Path(fields["output_dir"]).with_name(f"run-{packing}")
        train(
            FineTuneConfig.from_dict({**still, "packing": packing, "output_dir": str(out)}), model_folder=bases[False]
        )
        curves.append([row["loss"] for row in read_metrics(out / results.METRICS)])

    assert curves[0] == pytest.approx(curves[1], rel=1e-5)


def test_it_is_said_and_counted_before_while_and_after(
    bases: dict[bool, Path], fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory by formula, and by a dry run, which is made in this process so that a busy machine does not end it."""
    from qwen3ft_jupyter.finetune import planning
    from qwen3ft_jupyter.finetune.compute.tried import answer

    fields |= {"max_steps": 2, "report": True}
    config, ear = FineTuneConfig.from_dict(fields), Ear()
    said = "A base model has not learned the tokens <|im_start|>, <|im_end|>, <think>, </think> of its template"

    reckoned = plan_run(config, base_model(config.model, bases[False]), [])
    monkeypatch.setattr(planning, "TRIED_FROM_PARAMETERS", 0)
    monkeypatch.setattr(planning, "try_in_child", answer)
    plan = plan_run(config, base_model(config.model, bases[False]), [])
    outcome = train(config, model_folder=bases[False], work=Work(ear))

    out = Path(config.output_dir)
    card = (out / "README.md").read_text("utf-8")
    report = json.loads((out / results.REPORT).read_text("utf-8"))
    assert plan.tokens.token_rows == 4
    for one, basis in ((reckoned, "formula"), (plan, "dry run")):
        assert one.memory is not None
        assert (one.memory.basis, one.memory.adapter) == (basis, 4 * outcome.trainable_parameters)
    for notices in (plan.notices, ear.notices, report["notices"]):
        assert any(said in str(one) for one in notices)
    assert (
        r"| Trained token rows | `<\|im_start\|>`, `<\|im_end\|>`, `<think>`, `</think>` in embedding and head |"
        in card
    )
    assert json.loads((out / results.RESULT).read_text("utf-8"))["token_rows"][1] == "<|im_end|>"
    lora = outcome.trainable_parameters - 2 * 4 * 32
    without = {**fields, "lora": {**fields["lora"], "trainable_token_indices": []}, "overwrite": True}
    assert train(FineTuneConfig.from_dict(without), model_folder=bases[False]).trainable_parameters == lora


def test_what_is_not_trained_is_warned_of(bases: dict[bool, Path], fields: dict[str, Any]) -> None:
    def told(**more: Any) -> list[str]:
        config = FineTuneConfig.from_dict({**fields, **more})
        plan = plan_run(config, base_model(config.model, bases[True]), [])
        return [str(one) for one in plan.notices if "base model" in str(one)]

    (off,) = told(lora={"trainable_token_indices": []})
    assert "lora.trainable_token_indices leaves their rows as they are: answers may go on without end" in off
    (frozen,) = told(method="full", trainable_layers=1)
    assert "trainable_layers leaves their rows" in frozen
    assert told(method="full") == []
    (most, rest) = told(lora={"trainable_token_indices": [2]})
    assert "<|im_end|> of its template: their rows" in most
    assert "<|im_start|>" in rest


def test_a_model_that_ends_its_turns_trains_no_rows_unless_they_are_named(
    tiny: Path, fields: dict[str, Any], data: Path
) -> None:
    plan = plan_run(FineTuneConfig.from_dict(fields), base_model("Qwen/Tiny-Qwen3", tiny), [])
    assert plan.tokens.token_rows == 0
    assert not any("base model" in str(one) for one in plan.notices)

    named = FineTuneConfig.from_dict({**fields, "lora": {"trainable_token_indices": "9, 2"}})
    with quiet_libraries():
        model = load_for_training(named, tiny, reporter=SILENT, token_rows=(2, 9)).model
        assert named.lora.trainable_token_indices == (2, 9)
        assert model.peft_config["default"].trainable_token_indices == {"embed_tokens": [2, 9]}
        with pytest.raises(BadConfig, match=r"has \d+ tokens, none with the ids 9999999"):
            load_for_training(named, tiny, reporter=SILENT, token_rows=(2, 9_999_999))


def test_where_the_head_is_adapted_only_rows_of_the_embedding_are_trained(
    bases: dict[bool, Path], fields: dict[str, Any]
) -> None:
    """An adapter of the head has every row of it already; peft takes no rows there."""
    fields |= {"max_steps": 2, "lora": {"r": 2, "targets": ["q_proj", "lm_head"]}}
    config, ear = FineTuneConfig.from_dict(fields), Ear()

    train(config, model_folder=bases[False], work=Work(ear))

    adapter = Path(config.output_dir) / results.ADAPTER
    written = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    assert set(written["trainable_token_indices"]) == {"embed_tokens"}
    assert any(
        "their rows in the embedding are trained, too; those in the head are adapted" in one for one in ear.notices
    )


@pytest.mark.parametrize("wrong", [["a"], "auto, 3", [-1], [True], 1.5, [10_000_000]])
def test_what_names_no_token_is_refused(wrong: object) -> None:
    least = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}
    with pytest.raises(
        BadConfig, match=r"lora\.trainable_token_indices: .* is not auto, or a list of the ids of tokens"
    ):
        FineTuneConfig.from_dict({**least, "lora": {"trainable_token_indices": wrong}})


def test_names_of_peft_are_understood() -> None:
    least = {"model": "Qwen/Qwen3-0.6B", "data": "train.jsonl"}

    def ids(**fields: object) -> object:
        return FineTuneConfig.from_dict({**least, **fields}).lora.trainable_token_indices

    assert ids(trainable_token_indices=[5]) == (5,)
    assert ids(lora={"trainable_token_indices": []}) == ()
    assert ids(lora={"trainable_token_indices": ["9", 5]}) == (5, 9)
    assert ids() == "auto"
