"""Reads the data of a fine-tune: every row is learned, refused by its name, or counted with the reason."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.errors import BadData, MissingPackage, Qwen3ftError
from qwen3ft_jupyter.finetune.dataset_info import wrong_entry
from qwen3ft_jupyter.finetune.duplicates import Duplicates
from qwen3ft_jupyter.finetune.files import DataFile
from qwen3ft_jupyter.finetune.formats import likely_columns
from qwen3ft_jupyter.finetune.index import Conversations, FileIndex
from qwen3ft_jupyter.finetune.objectives import OBJECTIVES
from qwen3ft_jupyter.finetune.odd import note_odd
from qwen3ft_jupyter.finetune.rows import BadRow, Broken, Ledger, Reason, Row, Rows, plain, why_empty
from qwen3ft_jupyter.finetune.samples import WARN_SHARE
from qwen3ft_jupyter.finetune.sources import Source, find_sources, unreadable
from qwen3ft_jupyter.finetune.turns import MEDIA, PREFERENCE
from qwen3ft_jupyter.messages import Message, Texts, as_message
from qwen3ft_jupyter.work import Progress, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from qwen3ft_jupyter.finetune.config import FineTuneConfig
    from qwen3ft_jupyter.finetune.dataset_info import Entry
    from qwen3ft_jupyter.finetune.formats import Conversation, Mapper

    See = Callable[[Conversation], None]
    """Is shown each conversation as it is read."""

DETECT_ROWS = 200
"""Rows looked at to tell the format."""

DETECT_BYTES = 1 << 24
"""Of them at most: rows may be whole books."""

TOLD_ROWS = 2000
"""After so many rows progress is told: some ten times a second."""

SHOWN_PROBLEMS = 5
"""Things wrong with rows that an error quotes, each with the first row; the others are counted."""

NAMED_ROWS = 200
"""Rows left out that a report names, each with the reason; the others are counted."""


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
    left_out: tuple[str, ...] = ()
    """The first rows that were, each with the reason."""
    duplicates: int = 0
    """Conversations that stand in the data before."""


@dataclass(frozen=True, slots=True)
class Data:
    """Conversations and how they were read."""

    conversations: Conversations
    """They stay in the files."""
    digests: tuple[str, ...]
    """SHA-256 of each file, of the very bytes that were read; behind it what of the file is taken, if not all once."""
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


def check_data(config: FineTuneConfig, work: Work | None = None) -> DataReport:
    """Read the config's data and report on it; what a face calls before it starts a job. Raises as `read_named`."""
    return read_data_of(config, work).report


def read_data_of(config: FineTuneConfig, work: Work | None = None, *, see: See | None = None) -> Data:
    """Return the data that `config` names. Raises as `read_named`."""
    reading = Reading(config.data_format, config.skip_bad_rows, dict(config.columns), config.seed, config.objective)
    return read_named(config.data, reading, work, see=see)


def read_data(paths: Sequence[Path], *, data_format: str = "auto", skip_bad_rows: bool = False) -> Data:
    """Return the conversations of all files, in order. Raises BadData as `read_named`."""
    return read_named([str(path) for path in paths], Reading(data_format, skip_bad_rows))


def read_named(names: Sequence[str], reading: Reading, work: Work | None = None, *, see: See | None = None) -> Data:
    """Return the conversations of all that `names` stand for, in order.

    Args:
        names: Files, folders, patterns; each may end in ``#500``: so many rows of it.
        reading: How.
        work: Is told of the phase preparing, and says when to stop.
        see: Is shown each conversation, before rows are drawn.

    Raises:
        BadData: Files cannot be read, rows are wrong (the first ones are quoted), or nothing is left to learn from.
            Every file is looked at before.
        Stopped: The work was to stop.
    """
    found = _Found(work or Work(), see)
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
    for group in dict.fromkeys(source.group for source in sources if source.rows is not None):
        members = [place for place, source in enumerate(sources) if source.group == group]
        _draw([found.files[place] for place in members], sources[members[0]], reading.seed, found)
    notices = [*found.notices, *found.ledger.notices()]
    if found.bad:
        words = Message(
            "{count} rows left out that cannot be mapped; the first: {problem}",
            count=found.bad,
            problem=Texts(list(_kinds_of(found)), "; "),
        )
        notices.insert(len(found.notices), words)
    duplicates = found.duplicates.count
    notices += _of_all(found.files, duplicates)
    left_out = found.bad + found.empty
    if left_out > WARN_SHARE * found.rows:
        share = 100 * (1 - left_out / found.rows)
        notices.append(Message("WARNING: only {share:.0f} % of the rows can be learned from.", share=share))
    conversations = Conversations(found.files)
    if not conversations:
        raise BadData(
            "No row of {names} can be learned from ({rows} rows read). {reasons}",
            hint=reading.mapper.needs,
            names=", ".join(source.path.name for source in sources),
            rows=found.rows,
            reasons=Texts(notices[len(found.notices) : -1], " "),
        )
    formats = tuple(file.data_format for file in found.files)
    report = DataReport(
        found.rows,
        len(conversations),
        formats,
        found.empty,
        found.bad,
        tuple(notices),
        tuple(found.left_out),
        duplicates,
    )
    return Data(conversations, tuple(digests), report)


@dataclass(slots=True)
class _Found:
    """What the files read so far held."""

    work: Work
    see: See | None
    rows: int = 0
    empty: int = 0
    bad: int = 0
    files: list[FileIndex] = field(default_factory=list)
    problems: dict[tuple[str, str, str], tuple[str, Rows]] = field(default_factory=dict)
    """What is wrong with the bad rows, by its kind: what is said of the first one, and which they are."""
    left_out: list[str] = field(default_factory=list)
    """The first rows of which nothing is learned."""
    notices: list[str] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    duplicates: Duplicates = field(default_factory=Duplicates)

    def refuse(self, broken: Broken) -> None:
        """Count a bad row."""
        self.bad += 1
        known = self.problems.get(broken.kind)
        if known is not None:
            known[1].add(broken.where)
        elif len(self.problems) < SHOWN_PROBLEMS:
            self.problems[broken.kind] = broken.sentence, Rows(broken.where)
        self.leave_out(broken.sentence)

    def leave_out(self, sentence: str) -> None:
        """Name a row of which nothing is learned, unless enough are named."""
        if len(self.left_out) < NAMED_ROWS:
            self.left_out.append(sentence)

    def add(self, row: Row | Broken, index: FileIndex) -> None:
        """Map a row, and enter what of it is not learned."""
        self.rows += 1
        if self.rows % TOLD_ROWS == 0:
            self.work.check()
            self.work.progress(Progress("preparing", self.rows, None, "rows"))
        if isinstance(row, Broken):
            self.refuse(row)
            return
        try:
            conversation = index.map(row)
            note_odd([one for turns in conversation.sequences for one in turns], conversation.tools, row)
        except BadRow as error:
            self.refuse(Broken.of(row.where, error.args[0]))
            return
        if row.notes:
            self.ledger.add(row.where, row.notes)
        if not conversation.messages:
            self.empty += 1
            self.leave_out(Broken.of(row.where, why_empty(row.notes)).sentence)
            return
        index.add(row)
        self.duplicates.add(conversation)
        if self.see:
            self.see(conversation)


def _read_file(source: Source, reading: Reading, found: _Found) -> str:
    """Add what a file holds to `found`; return its digest. Raises BadData, MissingPackage, OSError, Stopped."""
    if source.entry is not None:
        reading = _as_described(reading, source.entry)
    file, mapper = DataFile(source.path), reading.mapper
    rows = file.rows()
    first = _first_of(rows)
    file_format, is_detected = _format_of(source.path, first, reading, mapper), reading.data_format == "auto"
    index = FileIndex(file, mapper, file_format, is_detected, source.weight, source.entry)
    counts: Counter[str] = Counter()
    before = found.rows
    for row in itertools.chain(first, rows):
        detected = mapper.detect(row) if is_detected and isinstance(row, Row) else None
        counts[detected or file_format] += 1
        found.add(row, index)
    found.files.append(index)
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
    return file.digest + source.share + (f" {source.entry.digest}" if source.entry else "")


def _as_described(reading: Reading, entry: Entry) -> Reading:
    """Return how the rows of a file are read of which a dataset_info.json says it. Raises BadData."""
    parts, columns = reading.mapper.parts, entry.columns
    if entry.is_ranked and "rejected" not in parts:
        raise wrong_entry(
            entry.name, Message("ranking: true is preference data; objective: dpo and orpo learn from it")
        )
    if not columns:
        return reading
    if "text" in parts:
        return replace(reading, columns={"text": columns.get("question", ())[:1]}, data_format="auto")
    if not {"messages", "answer", "chosen"} & columns.keys():
        raise wrong_entry(entry.name, Message("columns names no response; objective: pretrain learns from texts alone"))
    return replace(reading, columns=columns, data_format=entry.data_format)


def _of_all(files: Sequence[FileIndex], duplicates: int) -> Iterator[str]:
    """Yield what is to be told of all files together: rows that are the same, and what each file has of an epoch."""
    if duplicates:
        yield Message(
            "{count} rows are the same as an earlier one. Those that are taken are learned again; where rows are held "
            "out (eval_fraction), their like may be learned.",
            count=duplicates,
        )
    if any(file.weight != 1 for file in files):
        counts = [(file.file.path.name, round(file.weight * len(file))) for file in files]
        total = max(1, sum(count for _, count in counts))
        parts = ", ".join(f"{name} {count} ({100 * count / total:.0f} %)" for name, count in counts)
        yield Message("An epoch sees {count} rows: {parts}.", count=total, parts=parts)


def _first_of(rows: Iterator[Row | Broken]) -> list[Row | Broken]:
    """Take the rows that tell the format: few, and not much text."""
    first: list[Row | Broken] = []
    size = 0
    while size < DETECT_BYTES and len(first) < DETECT_ROWS and (row := next(rows, None)):
        first.append(row)
        size += row.length if isinstance(row, Row) else 0
    return first


def _draw(files: Sequence[FileIndex], source: Source, seed: int, found: _Found) -> None:
    """Keep so many of the conversations of files as are asked for, in their order; the same for the same seed."""
    whole, count = sum(map(len, files)), source.rows or 0
    group = Path(source.group).name
    name = f"{group}#{count}"
    if count > whole:
        words = Message("{name}: there are only {count} rows; all are taken", name=name, count=whole)
        found.notices.append(words)
        return
    found.ledger.add(group + " row 1", [(Reason.UNDRAWN, name, whole - count)])
    chosen, start = sorted(random.Random(seed).sample(range(whole), count)), 0  # noqa: S311 - not a secret
    for file in files:
        end = start + len(file)
        file.keep([one - start for one in chosen[bisect_left(chosen, start) : bisect_left(chosen, end)]])
        start = end


def split(conversations: Conversations, fraction: float, seed: int) -> tuple[Conversations, Conversations]:
    """Return (for training, for evaluation): the same split for the same rows and seed, in the original order.

    At least one conversation stays on either side, unless `fraction` is 0 or there is only one. Those for training come
    as often as the weights of their files say.
    """
    size = len(conversations)
    if fraction <= 0 or size < 2:
        return conversations.weighted(seed), conversations[:0]
    count = min(size - 1, max(1, round(size * fraction)))
    held_out = bytearray(size)
    for index in random.Random(seed).sample(range(size), count):  # noqa: S311 - not a secret
        held_out[index] = 1
    training, evaluation = (
        conversations.pick(index for index, is_out in enumerate(held_out) if is_out == side) for side in (0, 1)
    )
    return training.weighted(seed), evaluation


def _format_of(path: Path, first: Sequence[Row | Broken], reading: Reading, mapper: Mapper) -> str:
    """Return the format most of the first rows are in. Raises BadData if they are in none."""
    if not first:
        raise BadData(
            "{name} holds no rows.",
            hint="Each row is a question with its answer; see Data in docs/config.md.",
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
    if path.suffix.lower() == ".txt" and columns == ["text"]:
        raise BadData(
            "{name} is plain text, which has no questions and answers.",
            hint="objective: pretrain learns it.",
            name=path.name,
        )
    if not rows or any(row.has((*PREFERENCE, *MEDIA)) for row in rows):  # each is refused with the better reason
        return "alpaca"
    one, other = likely_columns(columns, mapper.parts)
    raise BadData(
        "{name}: the format is not known; its columns are {columns}.",
        hint="{accepted} If the first line is a row already, write the names above it, such as question,answer."
        if path.suffix.lower() in {".csv", ".tsv", ".xlsx"}
        else "{accepted}",
        columns=", ".join(columns[:12]),
        name=path.name,
        accepted=as_message(mapper.accepted, {"one": one, "other": other}),
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


def _kinds_of(found: _Found) -> Iterator[str]:
    """Yield each thing that is wrong with rows, as it is said of the first, and with which others."""
    yield from (rows.words(sentence) for sentence, rows in found.problems.values())


def _problem_words(found: _Found) -> Iterator[str]:
    yield from _kinds_of(found)
    more = found.bad - sum(rows.count for _, rows in found.problems.values())
    if more > 0:
        yield Message("and {count} more rows", count=more)
