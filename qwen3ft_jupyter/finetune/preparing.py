"""What a run learns from, and how: its rows as samples, laid out as far as that is exact on the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.batches import Layout
from qwen3ft_jupyter.finetune.examples import encode_all
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.token_rows import row_notices, token_rows
from qwen3ft_jupyter.loading.machine import fitting_threads
from qwen3ft_jupyter.paths import nearest_folder
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.compute.objectives import TrainingLoss
    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.data import Data
    from qwen3ft_jupyter.finetune.index import Conversations
    from qwen3ft_jupyter.finetune.model import Trainable
    from qwen3ft_jupyter.finetune.samples import Example, SampleReport
    from qwen3ft_jupyter.loading.libraries import Model, Tokenizer
    from qwen3ft_jupyter.work import Work


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is learned from, and what is kept out of training."""

    training: Sequence[Example]
    held_out: Sequence[Example]
    facts: results.Facts
    pad_id: int
    lengths: Sequence[int]
    """Of those that are learned from."""
    widest: int
    """The greatest `padded_length` of them."""
    token_rows: tuple[int, ...]
    """Tokens whose rows in embedding and head are trained beside a LoRA."""


def prepare(
    config: FineTuneConfig, data: Data, parts: tuple[Conversations, Conversations], tokenizer: Tokenizer, work: Work
) -> Prepared:
    """Render and tokenize what is learned from, and what is held out: the two parts of the data."""
    for notice in data.report.notices:
        work.reporter.notice(notice)
    training, held_out = parts
    if config.eval_fraction and not held_out:
        work.notice("Nothing is measured on held-out rows: there is only one row.")
    folder = nearest_folder(Path(config.output_dir))
    with OBJECTIVES[config.objective].encoding(config, tokenizer) as encoding:
        encoder, evaluation = encoding.encoder(), encoding.encoder()
        samples = encode_all(training, encoder, work, folder=folder)
        silent = replace(work, reporter=SILENT)
        held_out_samples = encode_all(held_out, evaluation, silent, folder=folder, may_be_none=True)
    counts = encoder.report
    work.notice(
        "{samples} samples, {tokens} tokens, {trained_tokens} of them in the loss.",
        samples=counts.samples,
        tokens=counts.tokens,
        trained_tokens=counts.trained_tokens,
    )
    for notice in [*row_notices(config, counts), *counts.notices(config.max_length)]:
        work.reporter.notice(notice)
    _tell_of_held_out(evaluation.report, len(held_out), work)
    rows = token_rows(config, counts)
    names = tuple(map(str, tokenizer.convert_ids_to_tokens(list(rows))))
    facts = results.Facts(data.report.rows, len(held_out), counts, encoding.end_ids, names)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return Prepared(samples, held_out_samples, facts, int(pad_id or 0), samples.lengths, samples.widest, rows)


def _tell_of_held_out(report: SampleReport, rows: int, work: Work) -> None:
    left_out = report.dropped + report.refused
    if rows and not report.samples:
        work.notice(
            "Nothing is measured on held-out rows: none of the {count} answers in them fits max_length.", count=left_out
        )
    elif left_out:
        work.notice("Held-out rows: {count} answers left out of the measurement; they do not fit.", count=left_out)


def objective_of(
    config: FineTuneConfig, ready: Trainable, samples: Prepared, work: Work, *, is_sharded: bool = False
) -> TrainingLoss:
    """Return how this model is taught: packed and lean as far as that is exact on it. Raises BadConfig."""
    from qwen3ft_jupyter.finetune.compute.probes import has_plain_head, packs_exactly

    if config.auto_find_batch_size and is_sharded:  # where memory runs out on one, the others cannot compute less
        work.notice(
            "The batch size is not looked for: the model is sharded. batch_size: {size}.", size=config.batch_size
        )
    is_found = config.auto_find_batch_size and not is_sharded
    is_found = is_found and ready.precision.device.startswith("cuda")  # elsewhere nothing runs out
    batch_size = config.effective_batch_size if is_found else config.batch_size
    layout = Layout(
        samples.pad_id,
        most_tokens=batch_size * samples.widest,
        is_flat="flash" in str(ready.model.config._attn_implementation),  # noqa: SLF001 - it has no public name
        multiple_of=8 if ready.precision.device.startswith("cuda") else 1,  # tensor cores like 8
    )
    with fitting_threads(ready.model):
        packs = config.packing is not False and packs_exactly(ready.model, layout)
        is_lean = has_plain_head(ready.model)
    if config.packing is True and not packs:
        raise BadConfig(
            "packing: true is not exact on this model: samples in one row would see each other.", hint="Use auto."
        )
    if config.packing == "auto" and not packs:
        work.notice("Packing is off: on this model samples in one row would see each other.")
    laid_out = replace(layout, packs=packs)
    return OBJECTIVES[config.objective].loss(config, laid_out, ready.precision, is_lean=is_lean)


def with_references(samples: Prepared, objective: TrainingLoss, ready: Trainable, work: Work) -> Prepared:
    """Return the samples with what the objective has to know of the model before it is trained."""
    with fitting_threads(ready.model):
        training, held_out = (
            objective.prepared(ready.model, part, work) for part in (samples.training, samples.held_out)
        )
    return replace(samples, training=training, held_out=held_out)


def tell_of_base_model(config: FineTuneConfig, model: Model, samples: Prepared, work: Work) -> None:
    """Say so where a model does not end its turns yet, and learns to."""
    known = model.generation_config.eos_token_id
    ends_turns = set(samples.facts.end_ids) & set(known if isinstance(known, list) else [known])
    untaught = {token for token, _ in samples.facts.counts.untaught}
    learns = config.method == "full" or untaught <= set(samples.token_rows)  # what does not was warned of
    if not ends_turns and learns:
        work.notice(
            "This looks like a Base model: it has not learned to end its turns. It learns that here from your data; "
            "with few rows, an instruct model is the better start."
        )
