"""What is shown of a fine-tune before it starts, as values: its plan, and its data as the model will see it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.faces.format import plain
from qwen3ft_jupyter.faces.verbs import speaker_of
from qwen3ft_jupyter.faces.views import Table
from qwen3ft_jupyter.finetune.plan import change_words, closeness
from qwen3ft_jupyter.messages import Message, duration, size, tr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.faces.verbs import Face
    from qwen3ft_jupyter.finetune.fit import MemoryPlan
    from qwen3ft_jupyter.finetune.plan import FineTunePlan
    from qwen3ft_jupyter.finetune.preview import Bin, Preview, PreviewSample
    from qwen3ft_jupyter.messages import Speaker

LEARNED, PLAIN = "\x1b[1;32m", "\x1b[0m"
"""How a terminal shows what is learned, and the rest."""
OPENING, CLOSING = "⟦", "⟧"
"""Around what is learned, where there is no colour."""


VERDICTS = {
    "yes": Message("about {needed} of {free} free on {device}: it fits"),
    "no": Message("about {needed} of {free} free on {device}: it does NOT fit"),
    "unknown": Message("about {needed} of {free} free on {device}: it may not fit"),
}
"""Whether memory is enough, in words."""
BASES = {
    "formula": Message("by formula"),
    "dry run": Message("by a dry run without weights"),
}
"""How memory is known, in words."""

SAMPLE_TITLES = {
    "": Message("Sample {number}: {count} tokens, {learned} of them learned"),
    "chosen": Message("Sample {number}, the chosen answer: {count} tokens, {learned} of them learned"),
    "rejected": Message("Sample {number}, the rejected answer: {count} tokens, {learned} of them learned"),
}
"""What a sequence is called, by which answer of a pair it ends with."""


def fine_tune_table(plan: FineTunePlan, face: Face = "magic") -> Table:
    """Return what a fine-tune would be, a fact a row; commands in its notes are written for a face."""
    title = f"{plan.model} · {plan.objective}, {plan.method} · {plan.output_dir}"
    return Table(
        title,
        (tr("What"), tr("Value")),
        tuple(_plan_rows(plan)),
        tuple(_plan_notes(plan, speaker_of(face))),
        (plan.to_dict(),),
    )


def _plan_rows(plan: FineTunePlan) -> Iterator[tuple[str, str]]:
    data, tokens, steps = plan.data, plan.tokens, plan.steps
    read = tr("{count} of {rows} rows are learned from", count=data.conversations, rows=data.rows)
    held = tr("{count} are held out", count=data.held_out) if data.held_out else ""
    yield tr("data"), ", ".join(filter(None, (read, held)))
    about = "" if tokens.basis == "counted" else "≈ "
    yield (
        tr("an epoch"),
        about
        + tr(
            "{samples} samples, {tokens} tokens, {trained} of them learned; the longest has {longest}",
            samples=f"{tokens.samples:,}",
            tokens=f"{tokens.tokens:,}",
            trained=f"{tokens.trained_tokens:,}",
            longest=f"{tokens.longest:,}",
        ),
    )
    if tokens.shortened or tokens.left_out:
        yield (
            tr("too long"),
            tr(
                "{count} samples shortened, {left_out} answers left out",
                count=tokens.shortened,
                left_out=tokens.left_out,
            ),
        )
    yield (
        tr("steps"),
        about
        + tr(
            "{total}, {warmup} of them warm-up; {an_epoch} an epoch",
            total=f"{steps.total:,}",
            warmup=f"{steps.warmup:,}",
            an_epoch=f"{steps.an_epoch:,}",
        ),
    )
    yield tr("padding"), tr("{share:.0f} % of what is computed", share=100 * steps.padding)
    yield tr("time"), _time_words(plan)
    if plan.memory is not None:
        yield tr("memory"), _memory_words(plan.memory)
        yield tr("of that"), _part_words(plan.memory)
        if plan.memory.devices > 1:
            yield tr("devices"), _devices_words(plan.memory)
        yield tr("found"), tr(BASES[plan.memory.basis])
        yield (
            tr("room for"),
            tr(
                "batch_size up to {batch} at this length, samples up to {length} tokens at this batch_size",
                batch=f"{plan.memory.largest_batch:,}",
                length=f"{plan.memory.largest_length:,}",
            ),
        )
    if plan.disk is not None:
        yield tr("disk"), _disk_words(plan)
    if not plan.is_cached:
        yield tr("download"), size(plan.download_bytes) or tr("not known")


def _time_words(plan: FineTunePlan) -> str:
    if plan.seconds is None or plan.tokens_per_s is None:
        return tr("not known before its first 20 steps: there is no earlier run on this machine to go by")
    told = {"time": duration(plan.seconds), "rate": f"{plan.tokens_per_s:,.0f}"}
    if plan.rate_from is not None:
        return tr(
            "about {time} at {rate} tokens/s, reckoned from an earlier run of {model} here",
            model=plan.rate_from,
            **told,
        )
    return tr("about {time} at {rate} tokens/s, as in an earlier run here", **told)


def _memory_words(memory: MemoryPlan) -> str:
    return tr(
        VERDICTS[memory.fits],
        needed=size(memory.total),
        free=size(memory.free),
        device=f"{memory.device_name} ({memory.dtype})",
    )


SHARDINGS = {
    "none": Message("{count}, each with the whole model; memory is that of each"),
    "full": Message("{count}, each with a part of the model (FSDP); memory is that of each"),
    "offload": Message(
        "{count}, each with a part of the model (FSDP) in the memory of the host; memory is that of each"
    ),
}
"""What is said of several devices, by how they share the model out."""


def _devices_words(memory: MemoryPlan) -> str:
    words = tr(SHARDINGS[memory.sharding], count=memory.devices)
    return words + tr("; the largest model that fits: {model}", model=memory.largest_model or tr("none"))


def _part_words(memory: MemoryPlan) -> str:
    activations = tr("activations, computed again") if memory.is_checkpointed else tr("activations")
    parts = (
        (tr("weights"), memory.weights),
        (tr("adapter"), memory.adapter),
        (tr("gradients"), memory.gradients),
        (tr("optimizer"), memory.optimizer),
        (activations, memory.activations),
        (tr("logits"), memory.logits),
        (tr("libraries"), memory.margin),
    )
    return ", ".join(f"{name} {size(count)}" for name, count in parts if count)


def _disk_words(plan: FineTunePlan) -> str:
    disk, checkpoints = plan.disk, plan.steps.checkpoints
    if disk is None:
        return ""
    given = {"result": size(disk.result), "checkpoint": size(disk.checkpoint), "needed": size(disk.needed)}
    said = (
        tr("result {result}, a checkpoint every few minutes {checkpoint}; at most {needed} at once", **given)
        if checkpoints is None
        else tr(
            "result {result}, {count} checkpoints of {checkpoint}; at most {needed} at once", count=checkpoints, **given
        )
    )
    return said + (tr("; {free} are free", free=size(disk.free)) if disk.free is not None else "")


def _plan_notes(plan: FineTunePlan, speaker: Speaker) -> Iterator[str]:
    memory = plan.memory
    if memory is not None and memory.fits == "no":
        if memory.changes:
            yield tr("What fits, the cheapest first:")
            yield from (f"  {tr(change_words(change))}" for change in memory.changes)
        else:
            yield tr("Nothing that a config can say makes it fit on this machine.")
    elif words := closeness(plan):
        yield tr(words)
    if not plan.has_room:
        yield tr("The disk has no room for it.")
    yield from map(speaker.say, (*plan.notices, *plan.data.notices))


def preview_table(found: Preview, face: Face = "magic") -> Table:
    """Return what there is to say of data, a fact a row; commands in its notes are written for a face."""
    title = f"{found.model} · max_length {found.max_length}"
    notes = tuple(map(speaker_of(face).say, found.notices))
    return Table(title, (tr("What"), tr("Value")), tuple(_preview_rows(found)), notes, ())


def _preview_rows(found: Preview) -> Iterator[tuple[str, str]]:
    about = "" if found.basis == "counted" else "≈ "
    share = 100 * found.trained_tokens / max(1, found.tokens)
    yield tr("rows"), tr("{rows}, of which {count} are learned from", rows=found.rows, count=found.conversations)
    if found.empty or found.bad:
        yield (
            tr("left out"),
            tr("{empty} rows without an answer, {bad} that are wrong", empty=found.empty, bad=found.bad),
        )
    yield (
        tr("an epoch"),
        about
        + tr(
            "{samples} samples, {tokens} tokens, {share:.0f} % of them learned",
            samples=f"{found.samples:,}",
            tokens=f"{found.tokens:,}",
            share=share,
        ),
    )
    yield (
        tr("too long"),
        tr("{count} samples shortened, {left_out} answers left out", count=found.shortened, left_out=found.left_out),
    )
    yield tr("duplicates"), f"{found.duplicates:,}"
    yield tr("with a thought"), f"{100 * found.thinking:.0f} %"
    yield tr("lengths"), _length_words(found.lengths)


def _length_words(bins: tuple[Bin, ...]) -> str:
    """Return a histogram in a line.

    >>> from qwen3ft_jupyter.finetune.preview import histogram
    >>> _length_words(histogram([5, 6, 7, 20]))
    '5 █▅▁▁▁▁▁▅ 20'
    """
    if not bins:
        return ""
    highest = max(one.count for one in bins)
    bars = "".join("▁▂▃▄▅▆▇█"[round(7 * one.count / highest)] for one in bins)
    last = max(one.high for one in bins if one.count)
    return f"{bins[0].low:,} {bars} {last:,}"


def sample_lines(sample: PreviewSample, *, is_coloured: bool) -> list[str]:
    """Return a sample as a terminal shows it: what is learned in colour, or in brackets."""
    opening, closing = (LEARNED, PLAIN) if is_coloured else (OPENING, CLOSING)
    written = "".join(
        f"{opening}{plain(part.text)}{closing}" if part.is_learned else plain(part.text) for part in sample.parts
    )
    return [sample_title(sample), *written.split("\n")]


def sample_title(sample: PreviewSample) -> str:
    """Return what a sample is called."""
    learned = sum(part.tokens for part in sample.parts if part.is_learned)
    return tr(
        SAMPLE_TITLES[sample.answer],
        number=sample.number,
        count=len(sample.tokens),
        learned=learned,
    )
