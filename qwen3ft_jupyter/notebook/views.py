"""What the verbs return: values that show themselves as a table or a few lines, and hold the data they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter import format as fmt
from qwen3ft_jupyter.cache_lists import owner_words, plan_table, revision_words, room_words, state_words
from qwen3ft_jupyter.format import plain
from qwen3ft_jupyter.job_lists import shown_state
from qwen3ft_jupyter.notebook.markup import element, joined, table
from qwen3ft_jupyter.words import tr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markupsafe import Markup

    from qwen3ft_jupyter.cache.move import MoveReport
    from qwen3ft_jupyter.notebook.verbs import Verb


class View:
    """Something that shows itself in a notebook and on a terminal."""

    def html(self) -> Markup:
        """Return the rich form."""
        raise NotImplementedError

    def text(self) -> str:
        """Return the plain form."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:  # noqa: ARG002
        return {"text/html": str(self.html()), "text/plain": self.text()}

    def __repr__(self) -> str:
        return self.text()


@dataclass(frozen=True, repr=False)
class TableView(View):
    """A table. Iterates over `data`, one dict a row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: tuple[dict[str, Any], ...]
    notes: tuple[str, ...] = ()

    def html(self) -> Markup:
        """Return title, table and notes."""
        shown = table(self.columns, self.rows) if self.rows else element("div", tr("none"))
        notes = (element("div", note, style="opacity:0.75") for note in self.notes)
        return element("div", element("div", element("b", self.title)), shown, *notes)

    def text(self) -> str:
        """Return the same in columns."""
        if not self.rows:
            return "\n".join([plain(self.title), f"  {tr('none')}", *map(plain, self.notes)])
        written = [f"  {line}" for line in fmt.columns(self.columns, self.rows).splitlines()]
        return "\n".join([plain(self.title), *written, *map(plain, self.notes)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.data[index]


@dataclass(frozen=True, repr=False)
class Note(View):
    """A sentence that says what was done, and the value of it."""

    message: str
    value: Any = None

    def html(self) -> Markup:
        """Return the sentence."""
        return element("div", self.message, style="white-space:pre-line")

    def text(self) -> str:
        """Return the sentence."""
        return plain(self.message)


@dataclass(frozen=True, repr=False)
class TextView(View):
    """Text with its line breaks: an answer of a model, or a log."""

    content: str
    is_code: bool = False

    def html(self) -> Markup:
        """Return the text, wrapped where it is prose."""
        if self.is_code:
            return element("pre", self.content, style="max-height:30em;overflow:auto")
        return element("div", self.content, style="white-space:pre-wrap;overflow-wrap:anywhere;max-width:60em")

    def text(self) -> str:
        """Return the text."""
        return plain(self.content)

    def __str__(self) -> str:
        return self.content


def status_view(status: Mapping[str, Any]) -> TableView:
    """Show what `ModelManager.describe` says."""
    hubs = " → ".join(status.get("hubs") or [status["hub"]])
    rows = tuple((row["name"], str(row["value"]), row["origin"]) for row in status["settings"])
    missing = [name for name, is_there in status.get("training", {}).items() if not is_there]
    notes = list(status["warnings"])
    if missing:
        notes.append(tr("not installed here: {packages}", packages=", ".join(missing)))
        notes.append("pip install 'qwen3ft-jupyter[train]'")
    title = tr(
        "Hub: {hub} · version {version} · Python {python}",
        hub=hubs,
        version=status["version"],
        python=status["python"],
    )
    data = tuple(dict(row) for row in status["settings"])
    return TableView(title, (tr("Setting"), tr("Value"), tr("Where from")), rows, data, tuple(notes))


def models_view(models: Sequence[Mapping[str, Any]]) -> TableView:
    """Show the catalogue joined with the cache."""
    columns = (tr("Model"), tr("For"), tr("Parameters"), tr("Download"), tr("LoRA needs"), tr("State"))
    rows = tuple(
        (
            model["model_name"],
            tr(model["role"]) if model["role"] else model["note"],
            fmt.count(model["parameters"]),
            fmt.size(model["download_bytes"]),
            fmt.size((model["memory_bytes"] or {}).get("lora")),
            _model_state(model),
        )
        for model in models
    )
    notes = ("%qwen3ft download NAME · %qwen3ft load NAME",)
    return TableView(tr("Qwen3 models"), columns, rows, tuple(dict(model) for model in models), notes)


def cache_view(models: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> TableView:
    """Show what is in the cache, and the room there is. `summary` is what `ModelManager.cache_summary` gives."""
    columns = (tr("Model"), tr("Revision"), tr("Size"), tr("Whose"), tr("Hub"), tr("Last used"), tr("State"))
    rows = tuple(
        (
            model["model_name"],
            revision_words(model),
            fmt.size(model["size"]),
            owner_words(model["owner"]),
            model["hub"] or "",
            fmt.moment(model["last_used"]),
            state_words(model),
        )
        for model in models
    )
    total = fmt.size(summary["total_size"])
    title = tr("Models in the cache: {count}, {size}", count=summary["total"], size=total)
    notes = tuple(note for note in (room_words(summary), summary["cache_dir"]) if note)
    return TableView(title, columns, rows, tuple(dict(model) for model in models), notes)


def plan_view(plan: Mapping[str, Any]) -> TableView:
    """Show what a download would do; `plan` is what `DownloadPlan.to_dict` gives. Iterates over its files."""
    shown = plan_table(plan)
    return TableView(shown.title, shown.columns, shown.rows, tuple(dict(file) for file in plan["files"]), shown.notes)


def moved_view(report: MoveReport) -> Note:
    """Say that the cache has moved, and what of it has not; the value is the new folder."""
    copied = fmt.size(report.bytes_copied)
    said = [
        tr("Moved folders: {count}; {size} copied.", count=len(report.moved), size=copied),
        tr("The cache has moved. Use it there: {command}", command=f"%env MODEL_CACHE_DIR={report.target}"),
        *(tr("{name} stayed: {reason}", name=name, reason=reason) for name, reason in report.left),
    ]
    return Note("\n".join(said), report.target)


def jobs_view(jobs: Sequence[Mapping[str, Any]]) -> TableView:
    """Show the jobs, newest first."""
    columns = (tr("Job"), tr("Title"), tr("State"), tr("Started"))
    rows = tuple((job["id"], job["title"], tr(shown_state(job)), fmt.moment(job["created"])) for job in jobs)
    notes = ("%qwen3ft jobs ID · jobs log ID · jobs pause ID · jobs resume ID · jobs forget ID · stop ID",)
    return TableView(tr("Jobs"), columns, rows, tuple(dict(job) for job in jobs), notes)


def help_view(verbs: Sequence[Verb]) -> TableView:
    """Show the verbs; of a single one, its options as well."""
    rows = tuple((f"%qwen3ft {verb.usage}", verb.summary) for verb in verbs)
    notes = tuple(line for verb in verbs for line in verb.details) if len(verbs) == 1 else ()
    data = tuple({"name": verb.name, "usage": verb.usage, "summary": verb.summary} for verb in verbs)
    return TableView("qwen3ft", (tr("Verb"), tr("What it does")), rows, data, notes)


def loaded_view(name: str, model: Any, model_variable: str, tokenizer_variable: str) -> Note:
    """Say what has been put where. `model` is whatever transformers made: each fact is shown only if it tells it."""
    sentence = tr(
        "{name} is loaded into {model} and {tokenizer}.",
        name=name,
        model=model_variable,
        tokenizer=tokenizer_variable,
    )
    facts = [str(getattr(model, fact)) for fact in ("dtype", "device") if getattr(model, fact, None) is not None]
    if callable(getattr(model, "num_parameters", None)):
        facts.insert(0, fmt.count(model.num_parameters()))
    return Note(f"{sentence} {' · '.join(facts)}".strip(), (model_variable, tokenizer_variable))


def lines(parts: Sequence[str]) -> Markup:
    """Return one block per part."""
    return joined(element("div", part) for part in parts)


def _model_state(model: Mapping[str, Any]) -> str:
    if model["job_id"]:
        return tr("transferring")
    if not model["cached"]:
        return ""
    return tr("in the cache") + ("" if model["verified"] else f" ({tr('not verified')})")
