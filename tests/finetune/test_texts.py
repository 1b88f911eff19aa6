from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.metrics import read_metrics
from qwen3ft_jupyter.finetune.samples import IGNORED
from qwen3ft_jupyter.finetune.survey import survey
from qwen3ft_jupyter.finetune.texts import pieces
from qwen3ft_jupyter.finetune.training import train
from qwen3ft_jupyter.loading.load import load_tokenizer
from tests.finetune.lessons import rows

if TYPE_CHECKING:
    from collections.abc import Iterable

TEXTS = [row["messages"][0]["content"] + " " + row["messages"][1]["content"] for row in rows()]


@pytest.fixture
def texts(fields: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A continued pre-training in which nothing is drawn but the order of the texts."""
    quiet = {"lora": {"r": 4, "alpha": 8}, "schedule": "constant", "max_steps": 4, "save_steps": None}
    return {**fields, **quiet, "data": write(tmp_path, ({"text": text} for text in TEXTS)), "objective": "pretrain"}


def write(folder: Path, rows_of_it: Iterable[dict[str, Any]]) -> str:
    path = folder / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows_of_it)), encoding="utf-8")
    return str(path)


def losses(tiny: Path, fields: dict[str, Any], name: str = "run") -> list[float]:
    folder = Path(fields["output_dir"]).with_name(name)
    train(FineTuneConfig.from_dict({**fields, "output_dir": str(folder)}), model_folder=tiny)
    return [row["loss"] for row in read_metrics(folder / "metrics.jsonl")]


@given(st.integers(2, 70), st.integers(2, 30))
def test_every_token_but_the_first_is_learned_once_behind_what_stands_before_it(length: int, most: int) -> None:
    ids = list(range(100, 100 + length))

    found = pieces(ids, most)

    assert [label for piece in found for label in piece.labels if label != IGNORED] == ids[1:]
    assert max(piece.length for piece in found) <= most
    assert all(piece.input_ids.tolist() == ids[piece.input_ids[0] - 100 :][: piece.length] for piece in found)


@pytest.mark.train
def test_losses_are_those_of_trl_on_the_texts_themselves(
    tiny: Path, texts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tokenizes them itself, and ends each with the tokenizer's end of text."""
    from qwen3ft_jupyter.finetune.compute import trainer

    ours = losses(tiny, texts)
    monkeypatch.setattr(trainer, "StepTrainer", partial(TrlTrainer, tiny))

    assert losses(tiny, texts, "theirs") == pytest.approx(ours, abs=1e-5)


def TrlTrainer(tiny: Path, model: Any, arguments: Any, _objective: object, *, callback: Any, **_: object) -> Any:  # noqa: N802 - a class to its caller
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    same = (
        "output_dir", "per_device_train_batch_size", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps",
        "weight_decay", "max_grad_norm", "optim", "seed", "data_seed", "logging_steps", "save_strategy", "report_to",
        "disable_tqdm", "use_cpu", "bf16", "dataloader_pin_memory",
    )  # fmt: skip
    found = SFTTrainer(
        model=model,
        args=SFTConfig(**{name: getattr(arguments, name) for name in same}, activation_checkpointing=False),
        train_dataset=Dataset.from_list([{"text": text} for text in TEXTS]),
        processing_class=AutoTokenizer.from_pretrained(tiny),
        callbacks=[callback],
    )
    found.remove_callback(PrinterCallback)
    return found


@pytest.mark.train
def test_a_long_text_is_cut_into_pieces_and_nothing_of_it_is_lost(tiny: Path, texts: dict[str, Any]) -> None:
    tokenizer = load_tokenizer(tiny)
    config = FineTuneConfig.from_dict({**texts, "max_length": 16})
    found = survey(config, tiny)

    whole = sum(len(tokenizer(text)["input_ids"]) for text in TEXTS)  # and an end each, less the first token each
    assert found.tokens.trained_tokens == whole
    assert (found.tokens.longest, found.tokens.left_out, found.tokens.shortened) == (16, 0, 0)
    assert found.tokens.samples > len(TEXTS)
    estimated = survey(config, None).tokens
    assert (estimated.longest, estimated.samples > len(TEXTS)) == (16, True)


@pytest.mark.train
def test_text_that_looks_like_a_templates_tokens_stays_text(tiny: Path, texts: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = load_tokenizer(tiny)
    forged = "<|im_start|>user\nHello"
    texts |= {"data": write(tmp_path, [{"text": forged}])}

    (sample,) = survey(FineTuneConfig.from_dict(texts), tiny).samples

    ids = sample.sequences[0].input_ids.tolist()
    assert tokenizer.convert_tokens_to_ids("<|im_start|>") not in ids
    assert tokenizer.decode(ids) == forged + tokenizer.eos_token


@pytest.mark.train
def test_a_model_without_a_chat_template_can_be_taught_texts(tiny: Path, texts: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns(".qwen3ft", "chat_template*"))
    path = folder / "tokenizer_config.json"
    known = json.loads(path.read_text())
    known.pop("chat_template", None)
    path.write_text(json.dumps(known))

    losses(folder, {**texts, "max_steps": 1})

    card = (Path(texts["output_dir"]) / "README.md").read_text(encoding="utf-8")
    assert "| Objective | continued pre-training |" in card
    assert f"| Texts | {len(TEXTS)} of {len(TEXTS)} rows; 0 more held out |" in card


def test_columns_of_texts_are_named_or_known_and_others_are_not_learned(tmp_path: Path, fields: dict[str, Any]) -> None:
    from qwen3ft_jupyter.finetune.data import read_data_of

    fields |= {"objective": "pretrain", "data": write(tmp_path, [{"书": "text", "id": 1}, {"书": "", "id": 2}])}
    found = read_data_of(FineTuneConfig.from_dict({**fields, "columns": {"text": "书"}}))

    assert [one.messages[0].content for one in found.conversations] == ["text"]
    assert any("1 rows left out that hold nothing" in notice for notice in found.report.notices)
    with pytest.raises(BadData) as caught:
        read_data_of(FineTuneConfig.from_dict(fields))
    assert "columns: {text: 书}" in caught.value.hint


@pytest.mark.train
def test_a_txt_file_is_one_text(tiny: Path, texts: dict[str, Any], tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("Hello, who are you?\n\nI am a small assistant.\n" * 20, encoding="utf-8")

    found = survey(FineTuneConfig.from_dict({**texts, "data": str(book), "max_length": 64}), tiny)

    whole = [one for sample in found.samples for one in sample.sequences[0].labels if one != IGNORED]
    assert found.data.report.rows == 1
    written, learned = book.read_text(encoding="utf-8"), load_tokenizer(tiny).decode(whole[:-1])
    assert written.endswith(learned)
    assert len(learned) > len(written) - len("Hello,")  # all but the first token
