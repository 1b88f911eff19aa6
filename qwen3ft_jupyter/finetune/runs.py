"""Reads what runs have left, and sets several beside each other."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import read_json
from qwen3ft_jupyter.errors import LoadError, MissingPackage
from qwen3ft_jupyter.finetune import results
from qwen3ft_jupyter.finetune.metrics import Row, best_step, read_metrics
from qwen3ft_jupyter.finetune.report.card import ReportCard, perplexity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

UNTOLD = frozenset({"output_dir", "overwrite"})
"""Fields in which all runs differ."""


class History(list[Row]):
    """The metrics of a run: a dict for each step, by name; "step" is always among them."""

    def to_frame(self) -> Any:  # Any: pandas need not be there
        """Return a pandas DataFrame with a row for each step. Raises MissingPackage."""
        return _frame(list(self), [int(row["step"]) for row in self]).drop(columns="step")


@dataclass(frozen=True, slots=True)
class Run:
    """A fine-tune, finished or not, as its output folder tells of it."""

    folder: Path
    record: results.Record
    result: Mapping[str, Any] | None
    """What result.json says; None: it is not finished."""
    report: ReportCard | None
    """None: it has none."""

    @property
    def history(self) -> History:
        """Return the metrics of each step, read anew."""
        return History(read_metrics(self.folder / results.METRICS))

    @property
    def config(self) -> Mapping[str, object]:
        """Return the fields it was begun with."""
        return self.record.config

    def numbers(self) -> dict[str, float]:
        """Return what it came to, as far as that is known, by name; of an unfinished run so far."""
        history, result = self.history, self.result or {}
        losses = [row["loss"] for row in history if "loss" in row]
        best = best_step(history)
        told: dict[str, object] = {
            "steps": result.get("steps", history[-1]["step"] if history else None),
            "first_loss": losses[0] if losses else None,
            "last_loss": losses[-1] if losses else None,
            "eval_loss": result.get("eval_loss"),
            "perplexity": perplexity(result.get("eval_loss")) if self.report and self.report.is_token_loss else None,
            "best_step": best,
            **{name: result.get(name) for name in ("tokens", "seconds", "peak_bytes", "mfu")},
        }
        if self.report is not None and (scores := self.report.scores("after")):
            told |= {"exact_match": scores.exact_match, "chrf": scores.chrf, "rouge_l": scores.rouge_l}
        if self.report is not None:
            told["everyday_kept"] = self.report.kept
        return {name: value for name, value in told.items() if isinstance(value, int | float)}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        record = self.record.to_json()
        return {
            "folder": str(self.folder),
            "record": record,
            "result": dict(self.result) if self.result is not None else None,
            "report": self.report.to_dict() if self.report is not None else None,
            "numbers": self.numbers(),
        }


def open_run(folder: Path) -> Run:
    """Return the run in its output folder. Raises LoadError if there is none, or it cannot be read."""
    try:
        record = results.read_record(folder)
    except OSError as error:
        raise LoadError("{folder}: the record of the fine-tune cannot be read.", folder=folder.name) from error
    if record is None:
        raise LoadError("{folder} holds no fine-tune.", hint="Give its output_dir.", folder=folder.name)
    result = None
    with contextlib.suppress(OSError, ValueError):
        found = read_json(folder / results.RESULT)
        result = found if isinstance(found, dict) else None
    return Run(folder, record, result, read_report(folder))


def report_of(folder: Path, run_id: str) -> ReportCard | None:
    """Return the report card in an output folder if it is that of this run."""
    with contextlib.suppress(OSError):
        record = results.read_record(folder)
        return read_report(folder) if record is not None and record.run_id == run_id else None
    return None


def read_report(folder: Path) -> ReportCard | None:
    """Return the report card in the output folder of a run; None: there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        return as_report(read_json(folder / results.REPORT))
    return None


def as_report(value: object) -> ReportCard | None:
    """Return the report card that JSON holds; None: it is that of another version, or none."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return ReportCard.from_dict(value) if isinstance(value, dict) else None
    return None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several runs beside each other, in the order in which they were named."""

    names: tuple[str, ...]
    fields: Mapping[str, tuple[object, ...]]
    """Of the config, those in which they differ: the value of each run. Those of lora by their whole name."""
    numbers: Mapping[str, tuple[float | None, ...]]
    """What they came to; see `Run.numbers`."""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dict."""
        return {
            "names": list(self.names),
            "fields": {name: list(values) for name, values in self.fields.items()},
            "numbers": {name: list(values) for name, values in self.numbers.items()},
        }

    def to_frame(self) -> Any:  # Any: pandas need not be there
        """Return a pandas DataFrame with a row for each run. Raises MissingPackage."""
        columns = {**self.fields, **self.numbers}
        rows = [{name: values[place] for name, values in columns.items()} for place in range(len(self.names))]
        return _frame(rows, self.names)


def _frame(rows: Sequence[Mapping[str, object]], index: Sequence[object]) -> Any:  # Any: pandas need not be there
    if importlib.util.find_spec("pandas") is None:
        raise MissingPackage("The package {package} is not installed.", hint="pip install pandas", package="pandas")
    import pandas as pd

    return pd.DataFrame(list(rows), index=list(index))


def compare(runs: Sequence[Run]) -> Comparison:
    """Return in which fields runs differ, and what each came to."""
    configs = [_flat(run.config) for run in runs]
    known = [run.numbers() for run in runs]
    names = dict.fromkeys(name for config in configs for name in config if name not in UNTOLD)
    fields = {name: tuple(config.get(name) for config in configs) for name in names}
    numbers = dict.fromkeys(name for each in known for name in each)
    return Comparison(
        _told_apart([run.folder for run in runs]),
        {name: values for name, values in fields.items() if any(value != values[0] for value in values)},
        {name: tuple(each.get(name) for each in known) for name in numbers},
    )


def _flat(config: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in config.items():
        is_group = isinstance(value, dict) and name == "lora"
        flat |= {f"{name}.{inner}": one for inner, one in value.items()} if is_group else {name: value}  # type: ignore[attr-defined]
    return flat


def _told_apart(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return what to call folders: by their own names, where those differ."""
    names = [folder.name for folder in folders]
    return tuple(names if len(set(names)) == len(names) else map(str, folders))
