"""Reads the data of a fine-tune: every row is learned, refused by its name, or counted with the reason."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, MissingPackage, Qwen3ftError
from qwen3ft_jupyter.finetune.files import Broken, DataFile
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.rows import BadRow, Ledger, Reason, Row, plain
from qwen3ft_jupyter.finetune.samples import WARN_SHARE
from qwen3ft_jupyter.finetune.sources import Source, find_sources, unreadable
from qwen3ft_jupyter.finetune.turns import MEDIA, PREFERENCE
from qwen3ft_jupyter.messages import Message, Texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.formats import Conversation, Mapper

DETECT_ROWS = 200
"""Rows looked at to tell the format."""

SHOWN_PROBLEMS = 5
"""Bad rows that an error quotes; the others are counted."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """What was read, for people."""

    rows: int
    conversations: int
    formats: tuple[str, ...]
    """One a file."""
    empty: int
    """Rows left out because there is nothing in them to learn."""
    bad: int
    """Rows left out because they cannot be mapped (with skip_bad_rows)."""
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Data:
    """Conversations and how they were read."""

    conversations: tuple[Conversation, ...]
    digests: tuple[str, ...]
    """SHA-256 of each file, of the very bytes that were read."""
    report: DataReport


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read."""

    data_format: str = "auto"
    """"auto" tells it by the columns; else one of `formats.FORMATS`."""
    skip_bad_rows: bool = False
    """Leave bad rows out instead of refusing."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns of each part, where the user names them."""
    seed: int = 42
    """For the rows that are drawn where fewer than all are asked for."""
    objective: str = "sft"
    """What they are read for, see `objectives.OBJECTIVES`."""

    @property
    def mapper(self) -> Mapper:
        """Return what maps them."""
        return OBJECTIVES[self.objective].mapper(self.columns)


def check_data(config: FineTuneConfig) -> DataReport:
    """Read the config's data and report on it; what a face calls before it starts a job. Raises BadData."""
    return read_data_of(config).report


def read_data_of(config: FineTuneConfig) -> Data:
    """Return the data that `config` names. Raises BadData."""
    reading = Reading(config.data_format, config.skip_bad_rows, dict(config.columns), config.seed, config.objective)
    return read_named(config.data, reading)


def read_data(paths: Sequence[Path], *, data_format: str = "auto", skip_bad_rows: bool = False) -> Data:
    """Return the conversations of all files, in order. Raises BadData as `read_named`."""
    return read_named([str(path) for path in paths], Reading(data_format, skip_bad_rows))


def read_named(names: Sequence[str], reading: Reading) -> Data:
    """Return the conversations of all that `names` stand for, in order.

    Args:
        names: Files, folders, patterns; each may end in ``#500``: so many rows of it.
        reading: How.

    Raises:
        BadData: Files cannot be read, rows are wrong (the first ones are quoted), or nothing is left to learn from.
            Every file is looked at before.
    """
    found = _Found()
    sources, missing = find_sources(names, found.notices)
    errors: list[Qwen3ftError] = [*missing]
    digests = []
    for source in sources:
        try:
            digests.append(_read_file(source, reading, found))
        except (BadData, MissingPackage) as error:  # noqa: PERF203 - every wrong file is named
            errors.append(error)
        except OSError as error:
            errors.append(unreadable(source.path, error))
    if errors or (found.bad and not reading.skip_bad_rows):
        raise _refusal(errors, found, is_skipping=reading.skip_bad_rows)
    notices = [*found.notices, *found.ledger.notices()]
    if found.bad:
        words = Message(
            "{count} rows left out that cannot be mapped; the first: {problem}",
            count=found.bad,
            problem=found.problems[0],
        )
        notices.insert(len(found.notices), words)
    left_out = found.bad + found.empty
    if left_out > WARN_SHARE * found.rows:
        share = 100 * (1 - left_out / found.rows)
        notices.append(Message("WARNING: only {share:.0f} % of the rows can be learned from.", share=share))
    if not found.conversations:
        raise BadData(
            "No row of {names} can be learned from ({rows} rows read). {reasons}",
            hint=reading.mapper.needs,
            names=", ".join(source.path.name for source in sources),
            rows=found.rows,
            reasons=Texts(notices[len(found.notices) : -1], " "),
        )
    report = DataReport(
        found.rows, len(found.conversations), tuple(found.formats), found.empty, found.bad, tuple(notices)
    )
    return Data(tuple(found.conversations), tuple(digests), report)


@dataclass(slots=True)
class _Found:
    """What the files read so far held."""

    rows: int = 0
    empty: int = 0
    bad: int = 0
    conversations: list[Conversation] = field(default_factory=list)
    formats: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """The first bad rows."""
    notices: list[str] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)

    def refuse(self, broken: Broken) -> None:
        """Count a bad row."""
        self.bad += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(broken.sentence)

    def add(self, row: Row | Broken, file_format: str, mapper: Mapper) -> None:
        """Map a row, and enter what of it is not learned."""
        self.rows += 1
        if isinstance(row, Broken):
            self.refuse(row)
            return
        try:
            conversation = mapper.map(row, file_format)
        except BadRow as error:
            self.refuse(Broken.of(row.where, error.args[0]))
            return
        if row.notes:
            self.ledger.add(row.where, row.notes)
        if conversation.messages:
            self.conversations.append(conversation)
        else:
            self.empty += 1


def _read_file(source: Source, reading: Reading, found: _Found) -> str:
    """Add what a file holds to `found`; return its digest. Raises BadData, MissingPackage, OSError."""
    file, mapper = DataFile(source.path), reading.mapper
    rows = file.rows()
    first = list(itertools.islice(rows, DETECT_ROWS))
    file_format = _format_of(source.path, first, reading, mapper)
    counts: Counter[str] = Counter()
    before, conversations = found.rows, found.conversations
    found.conversations = []
    for row in itertools.chain(first, rows):
        row_format = file_format
        if reading.data_format == "auto" and isinstance(row, Row):
            row_format = mapper.detect(row) or file_format
        counts[row_format] += 1
        found.add(row, row_format, mapper)
    drawn = _draw(found, source, reading.seed)
    found.conversations = [*conversations, *drawn] if conversations else drawn
    found.formats.append(file_format)
    found.notices += file.notices
    found.notices.append(
        Message(
            "{name}: {count} rows, format {format}",
            name=source.path.name,
            count=found.rows - before,
            format=" + ".join(name for name, _ in counts.most_common()),
        )
    )
    if read := mapper.columns_of([row for row in first if isinstance(row, Row)]):
        found.notices.append(
            Message("{name}: columns learned: {columns}", name=source.path.name, columns=", ".join(read))
        )
    return file.digest


def _draw(found: _Found, source: Source, seed: int) -> list[Conversation]:
    """Return so many of the conversations as are asked for, in their order; the same for the same seed."""
    all_of_it, count = found.conversations, source.rows
    if count is None:
        return all_of_it
    name = f"{source.path.name}#{count}"
    if count > len(all_of_it):
        words = Message("{name}: there are only {count} rows; all are taken", name=name, count=len(all_of_it))
        found.notices.append(words)
        return all_of_it
    kept = sorted(random.Random(seed).sample(range(len(all_of_it)), count))  # noqa: S311 - not a secret
    found.ledger.add(source.path.name + " row 1", [(Reason.UNDRAWN, name, len(all_of_it) - count)])
    return [all_of_it[index] for index in kept]


def split(
    conversations: Sequence[Conversation], fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Return (for training, for evaluation): the same split for the same rows and seed, in the original order.

    At least one conversation stays on either side, unless `fraction` is 0 or there is only one.
    """
    if fraction <= 0 or len(conversations) < 2:
        return list(conversations), []
    count = min(len(conversations) - 1, max(1, round(len(conversations) * fraction)))
    held_out = set(random.Random(seed).sample(range(len(conversations)), count))  # noqa: S311 - not a secret
    train = [one for index, one in enumerate(conversations) if index not in held_out]
    return train, [conversations[index] for index in sorted(held_out)]


def _format_of(path: Path, first: Sequence[Row | Broken], reading: Reading, mapper: Mapper) -> str:
    """Return the format most of the first rows are in. Raises BadData if they are in none."""
    if not first:
        raise BadData(
            "{name} holds no rows.",
            hint="Each row is a question with its answer; see data in the README.",
            name=path.name,
        )
    rows = [row for row in first if isinstance(row, Row)]
    columns = list(dict.fromkeys(str(name) for row in rows for name in row.columns))
    _check_told(path, columns, reading)
    if reading.data_format != "auto":
        return reading.data_format
    found = Counter(filter(None, map(mapper.detect, rows)))
    if found:
        return found.most_common(1)[0][0]
    if not rows or any(row.has((*PREFERENCE, *MEDIA)) for row in rows):  # each is refused with the better reason
        return "alpaca"
    raise BadData(
        "{name}: the format is not known; its columns are {columns}.",
        hint=mapper.accepted,
        columns=", ".join(columns[:12]),
        name=path.name,
        one=columns[0] if columns else "…",
        other=columns[1] if len(columns) > 1 else "…",
    )


def _check_told(path: Path, columns: Iterable[str], reading: Reading) -> None:
    """Raise BadData for a column that the config names and the file lacks."""
    known = set(map(plain, columns))
    missing = [
        f"{part}: {name}" for part, names in reading.columns.items() for name in names if plain(name) not in known
    ]
    if missing:
        raise BadData(
            "{name} lacks columns that the config names ({missing}); it has {columns}.",
            hint="Correct columns.",
            name=path.name,
            missing=", ".join(missing),
            columns=", ".join(columns),
        )


def _refusal(errors: Sequence[Qwen3ftError], found: _Found, *, is_skipping: bool) -> Qwen3ftError:
    """Return one error for all files and rows that are wrong."""
    if len(errors) == 1 and (is_skipping or not found.bad):
        return errors[0]
    rows = [] if is_skipping else list(_problem_words(found))
    hints = list(dict.fromkeys(error.hint for error in errors if error.hint))
    if rows:
        hints.append(Message("Correct them, or set skip_bad_rows: true to leave such rows out."))
    return BadData(
        "{files} {rows}." if errors and rows else "{files}" if errors else "{rows}.",
        hint="{hints}",
        files=Texts([error.message for error in errors], " "),
        rows=Texts(rows),
        hints=Texts(hints, " "),
    )


def _problem_words(found: _Found) -> Iterator[str]:
    yield from found.problems
    more = found.bad - len(found.problems)
    if more > 0:
        yield Message("and {count} more rows", count=more)
