"""Data that a notebook holds in memory: a DataFrame, a list of dicts, a Dataset. The job reads it from a file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.disk import write_atomic
from qwen3ft_jupyter.errors import BadConfig
from qwen3ft_jupyter.finetune.rules import is_source, natural
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.paths import is_file, is_there

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig

STAND_IN = "data.jsonl"
"""Path of the data in a config until it is written."""


def rows_of(data: Any) -> Sequence[Any] | None:  # Any: whatever a notebook holds
    """Return the rows of a table, None if `data` is none: then it names files."""
    if isinstance(data, (list, tuple)):
        return data if any(isinstance(row, Mapping) and not is_source(row) for row in data) else None
    if hasattr(data, "column_names") and hasattr(data, "to_list"):  # datasets.Dataset
        return list(data.to_list())
    for method in ("to_pylist", "to_dicts"):  # pyarrow, polars
        if callable(found := getattr(data, method, None)):
            return list(found())
    if hasattr(data, "columns") and callable(getattr(data, "to_dict", None)):  # pandas
        if not data.columns.is_unique:
            raise BadConfig("data: columns of one name stand twice in the table.", hint="Rename them.")
        return list(data.to_dict("records"))
    return None


def write(config: FineTuneConfig, rows: Sequence[Any], folder: Path | None = None) -> FineTuneConfig:
    """Write the rows under a name that their content gives; return the config that reads them from there.

    They go to `folder`, beside the output folder if none is given.

    Raises BadConfig if a value is none of JSON, or if the folder cannot be written.
    """
    content = b"\n".join(_line(row, number) for number, row in enumerate(rows, 1))
    path = (folder or Path(config.output_dir).parent) / f"data-{hashlib.sha256(content).hexdigest()[:12]}.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while is_there(path) and not _holds(path, content):  # somebody has edited it
            number += 1
            path = path.with_name(f"{path.name.partition('.')[0][:17]}-{number}.jsonl")
        if not is_there(path):
            write_atomic(path, content)
    except OSError as error:
        raise BadConfig(
            "data: the table cannot be written to {name}: {reason}.",
            hint="Name an output_dir that you may write beside.",
            name=path.name,
            reason=error.strerror or Message("the disk refuses"),
        ) from error
    return config.model_copy(update={"data": (str(path),)})


def _holds(path: Path, content: bytes) -> bool:
    return is_file(path) and path.stat().st_size == len(content) and path.read_bytes() == content


def _line(row: Any, number: int) -> bytes:
    try:
        return json.dumps(_plain(row), ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadConfig(
            "data: row {number} holds what is no JSON: {problem}.", number=number, problem=str(error)[:80]
        ) from error


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what pandas holds for an empty cell is null."""
    if isinstance(value, Mapping):
        names = [str(natural(name)) for name in value]
        if len(set(names)) != len(names):
            raise ValueError("two columns of one name")
        return dict(zip(names, map(_plain, value.values()), strict=True))
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    plain = natural(value)
    if isinstance(plain, float) and math.isnan(plain):
        return None
    if hasattr(plain, "tolist"):  # numpy arrays, which parquet gives pandas for lists
        return _plain(plain.tolist())
    return None if type(plain).__name__ in {"NAType", "NaTType"} else plain
