"""A row of data that remembers what of it was read, so that nothing in it is dropped without a word."""

from __future__ import annotations

import enum
import functools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from qwen3ft_jupyter.messages import Message


class BadRow(ValueError):
    """A row that cannot be mapped; the message names the field and what is accepted."""


class Reason(enum.Enum):
    """Why something of a readable row is not learned. The value is what a notice says of it."""

    METADATA = Message("Columns about the rows, not learned: {names}.")
    UNKNOWN = Message(
        "Columns NOT learned, because nothing says what they are: {names}; the first in {where}. To learn from other "
        "columns, name all that are to be learned in columns: question, answer, reasoning, system, history."
    )
    BEFORE = Message("{count} turns left out that come before the first question; the first in {where}.")
    AFTER = Message("{count} turns left out that come after the last answer; the first in {where}.")
    BLANK = Message("{count} turns left out because their question is empty; the first in {where}.")
    UNANSWERED = Message("{count} turns left out that nobody answers; the first in {where}.")
    EMPTY = Message("{count} turns left out because their answer is empty; the first in {where}.")
    THOUGHT = Message("{count} turns left out because their answer is only a thought; the first in {where}.")
    CONTEXT = Message("{count} answers are context only, as the data says (loss, weight); the first in {where}.")
    NOT_OURS = Message("{count} turns ask to be learned that are no assistant's; they are not. The first in {where}.")
    ROW_EMPTY = Message("{count} rows left out that hold nothing; the first: {where}.")
    ROW_NO_QUESTION = Message("{count} rows left out that have no question; the first: {where}.")
    ROW_NO_ANSWER = Message("{count} rows left out that have no answer; the first: {where}.")
    ROW_EMPTY_ANSWER = Message("{count} rows left out whose answer is empty; the first: {where}.")
    ROW_THOUGHT = Message("{count} rows left out whose answer is only a thought; the first: {where}.")
    ROW_CONTEXT = Message("{count} rows left out in which no answer is to be learned; the first: {where}.")
    ROW_NO_PAIR = Message("{count} rows left out that lack a chosen or a rejected answer; the first: {where}.")
    ROW_SAME = Message("{count} rows left out whose chosen and rejected answers are the same; the first: {where}.")
    STRANGE_CALL = Message(
        "{count} rows call a tool that is not among their tools; the call is learned. The first: {where}."
    )
    TAGS = Message(
        "{count} rows hold <tool_call> or <tool_response> tags that are not closed, or hold no call that a program "
        "could read; they are learned as text. The first: {where}."
    )
    CONTROL = Message(
        "{count} rows hold control characters, such as NUL or a lone carriage return; they are learned. The first: "
        "{where}."
    )
    FOREIGN = Message(
        "{count} rows hold marks of other models or of pictures, such as <thinking>, [INST] or <image>; they are "
        "learned as text. The first: {where}."
    )
    REPLACED = Message(
        "{count} rows hold the character U+FFFD, which stands for text that was decoded wrongly; it is learned. The "
        "first: {where}."
    )
    NO_VALUE = Message(
        "{count} rows hold a turn or a cell that is just nan, null or the like, perhaps an empty one; it is learned. "
        "The first: {where}."
    )
    UNDRAWN = Message("{count} rows left out because {names} asks for fewer.")


WHY_EMPTY = {
    Reason.ROW_EMPTY: Message("it holds nothing"),
    Reason.ROW_NO_QUESTION: Message("it has no question"),
    Reason.ROW_NO_ANSWER: Message("it has no answer"),
    Reason.ROW_EMPTY_ANSWER: Message("its answer is empty"),
    Reason.ROW_THOUGHT: Message("its answer is only a thought"),
    Reason.ROW_CONTEXT: Message("no answer in it is to be learned"),
    Reason.ROW_NO_PAIR: Message("it lacks a chosen or a rejected answer"),
    Reason.ROW_SAME: Message("its chosen and rejected answers are the same"),
}
"""The reason for which one row is left out."""


METADATA = frozenset(
    {
        "id", "idx", "index", "uuid", "_id", "__id", "qid", "uid", "row", "row_id", "prompt_id", "question_id",
        "conversation_id", "dialogue_id", "dialog_id", "session_id", "sample_id", "data_id", "message_id",
        "tool_call_id", "source", "sources", "dataset", "dataset_name", "data_source", "origin", "url", "link",
        "license", "category", "categories", "subcategory", "class", "type", "task", "task_type", "task_name",
        "tasks", "topic", "topics", "tag", "tags", "keywords", "language", "languages", "lang", "locale", "split",
        "subset", "domain", "field", "subject", "model", "model_name", "generator", "engine", "created",
        "created_at", "updated", "updated_at", "timestamp", "date", "time", "version", "hash", "md5", "sha1",
        "sha256", "length", "len", "num_turns", "num_tokens", "tokens", "token_count", "n_tokens", "word_count",
        "score", "scores", "score_chosen", "score_rejected", "chosen_score", "rejected_score", "chosen_rating",
        "rejected_rating", "chosen_model", "rejected_model", "margin",
        "quality", "rating", "ratings", "difficulty", "level", "author", "annotator",
        "annotator_id", "parallel_tool_calls", "tool_choice", "logprobs", "finish_reason",
        "user_id", "metadata", "meta", "name", "unnamed:_0", "__index_level_0__", "编号", "序号",
        "来源", "类别", "分类", "语言", "",
    }
)  # fmt: skip
"""Columns about a row, of which nothing can be learned."""


@functools.lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """Return the name of a column as it is compared.

    >>> plain(" Complex-CoT")
    'complex_cot'
    """
    return name.strip().lstrip("\ufeff").lower().replace(" ", "_").replace("-", "_")


def holds(value: object) -> bool:
    """Return whether a cell has something in it: null, NaN, blank text and empty lists have not."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return False
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    return bool(value) if isinstance(value, (list, tuple, dict)) else True


Notes = list[tuple[Reason, str, int]]
"""What of a row is not learned: why, the name of the column if it is one, how many."""


def why_empty(notes: Notes) -> str:
    """Return in words why nothing is learned of a row that noted this."""
    return next(
        (WHY_EMPTY[reason] for reason, _, _ in notes if reason in WHY_EMPTY), Message("nothing in it is learned")
    )


@dataclass(slots=True)
class Row:
    """An object in the data, a row or one of its turns: columns of anything, under names of the user's choice."""

    columns: Mapping[str, object]
    where: str = ""
    """Where it stands, for a person: "train.jsonl row 37"."""
    notes: Notes = field(default_factory=list)
    offset: int = 0
    """Where it begins in its file, in bytes; in a file that is not text its number, from 0."""
    length: int = 0
    """Bytes."""
    place: str = ""
    """Of a turn, its name in the row: "messages[2]"; of a row nothing."""
    names: dict[str, str] = field(init=False)
    """The columns that hold something: their own name by the plain one."""
    used: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.names = {}
        for name, value in self.columns.items():
            if holds(value):
                key = plain(name)
                if key in self.names:
                    raise self._doubled(self.names[key], name)
                self.names[key] = name

    def _doubled(self, one: str, other: str) -> BadRow:
        words = Message("{one!r} and {other!r} are columns of one name", one=one, other=other)
        return BadRow(Message("{name}: {problem}", name=self.place, problem=words) if self.place else words)

    def get(self, key: str) -> object:
        """Return a column by its plain name, None if there is none or nothing in it; it does not count as read."""
        return self.columns[self.names[key]] if key in self.names else None

    def has(self, names: Iterable[str]) -> bool:
        """Return whether one of these columns holds something."""
        return not self.names.keys().isdisjoint(names)

    def take(self, names: Iterable[str]) -> list[tuple[str, object]]:
        """Return those of these columns that hold something, with their names; they count as read."""
        found = [name for name in names if name in self.names]
        if not found:
            return []
        self.used.update(found)
        return [(self.names[name], self.columns[self.names[name]]) for name in found]

    def take_one(self, names: Iterable[str]) -> tuple[str, object] | None:
        """Return the one of these columns that holds something, or None. Raises BadRow if several differ."""
        found = self.take(names)
        if not found:
            return None
        if any(value != found[0][1] for _, value in found[1:]):
            names = ", ".join(name for name, _ in found)
            if self.place:  # columns names the row's alone
                raise BadRow(
                    Message("{name}: {names} all have a value, and another one: keep one", name=self.place, names=names)
                )
            raise BadRow(
                Message(
                    "{names} all have a value: say in columns which is meant",
                    names=names,
                )
            )
        return found[0]

    def raw(self, name: str) -> object:
        """Return a column by its plain name, as it is, also if it holds nothing; it counts as read."""
        self.used.add(name)
        own = self.names.get(name) or next((one for one in self.columns if plain(one) == name), None)
        return None if own is None else self.columns[own]

    def note(self, reason: Reason, count: int = 1, detail: str = "") -> None:
        """Note that something is not learned."""
        self.notes.append((reason, detail, count))

    def note_rest(self, prefix: str = "") -> None:
        """Note the columns that nobody read."""
        for key, name in self.names.items():
            if key not in self.used:
                is_index = key != "" or str(self.columns[name]).strip().isdecimal()  # pandas gives its index no name
                is_metadata = key in METADATA and is_index
                self.note(Reason.METADATA if is_metadata else Reason.UNKNOWN, detail=prefix + name)


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a row should be, and why there is none."""

    sentence: str
    """It names the row."""
    where: str = ""
    """As of a `Row`."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Return what is the same of rows that the same is wrong with, whatever they say."""
        values = getattr(self.sentence, "values", {})
        problem = values.get("problem", "")
        return place_of(self.where)[0], _template(self.sentence), _template(problem)

    @classmethod
    def of(cls, where: str, problem: str) -> Broken:
        """Return a row with something wrong in it."""
        return cls(Message("{where}: {problem}", where=row_words(where), problem=problem), where)


def _template(text: object) -> str:
    return str(getattr(text, "template", text))


def read_row(value: object, where: str, *, offset: int = 0, length: int = 0) -> Row | Broken:
    """Return the row that a value is."""
    if isinstance(value, dict):
        try:
            return Row(value, where, offset=offset, length=length)
        except BadRow as error:
            return Broken.of(where, error.args[0])
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        template = Message("{where} is not an object, but a text that holds JSON: it was encoded twice")
    elif isinstance(value, list):
        template = Message("{where} is not an object, but a list: {value}. One list of all rows is called .json")
    else:
        template = Message("{where} is not an object with named columns, but {value}")
    return Broken(Message(str(template), where=row_words(where), value=short(value)), where)


SHOWN_ROWS = 3
"""Rows that are named where many have the same said of them; the others are counted."""


@dataclass(slots=True)
class Rows:
    """The rows of which the same is so, in the order in which they were read."""

    first: str
    """Where the first is: "train.jsonl row 37"."""
    count: int = 1
    numbers: list[str] = field(default_factory=list)
    """Of the first ones in the same file."""
    last: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._enter(self.first)

    def add(self, where: str) -> None:
        """Enter a row; that it is the one entered last changes nothing."""
        if where != self.last:
            self.count += 1
            self._enter(where)

    def _enter(self, where: str) -> None:
        self.last = where
        name, number = place_of(where)
        if len(self.numbers) < SHOWN_ROWS and name == place_of(self.first)[0]:
            self.numbers.append(number)

    def words(self, first: str) -> str:
        """Return `first`, which tells of the first row, with the numbers of the others.

        >>> rows = Rows("a.jsonl row 1")
        >>> for number in range(2, 42):
        ...     rows.add(f"a.jsonl row {number}")
        >>> rows.words(rows.first)
        'a.jsonl row 1 (rows 1, 2, 3 and 38 more)'
        """
        numbers, more = ", ".join(self.numbers), self.count - len(self.numbers)
        if self.count == 1:
            return first
        if more:
            return Message("{where} (rows {numbers} and {count} more)", where=first, numbers=numbers, count=more)
        return Message("{where} (rows {numbers})", where=first, numbers=numbers)


def place_of(where: str) -> tuple[str, str]:
    """Return the file and the number of a row.

    >>> place_of("train.csv row 7 line 9")
    ('train.csv', '7')
    """
    name, _, number = where.rpartition(" row ")
    return name, number.partition(" line ")[0]


@dataclass(slots=True)
class Count:
    """How often something was left out, and in which rows."""

    number: int
    rows: Rows


@dataclass(slots=True)
class Ledger:
    """What was left out of the rows read so far, by reason and column."""

    counts: dict[tuple[Reason, str], Count] = field(default_factory=dict)

    def add(self, where: str, notes: Iterable[tuple[Reason, str, int]]) -> None:
        """Enter what a row noted."""
        for reason, detail, number in notes:
            count = self.counts.get((reason, detail))
            if count is None:
                self.counts[reason, detail] = Count(number, Rows(where))
            else:
                count.number += number
                count.rows.add(where)

    def notices(self) -> list[str]:
        """Return a notice for each reason there is."""
        return [self._notice(reason) for reason in Reason if any(one is reason for one, _ in self.counts)]

    def _notice(self, reason: Reason) -> str:
        found = [(detail, count) for (one, detail), count in self.counts.items() if one is reason]
        names = ", ".join(f"{detail or '(…)'} ({count.number})" for detail, count in found)
        return Message(
            str(reason.value),
            names=names,
            count=sum(count.number for _, count in found),
            where=self._where(reason, found[0][1].rows),
        )

    def _where(self, reason: Reason, rows: Rows) -> str:
        words = row_words(rows.first)
        return words if reason is Reason.UNKNOWN else rows.words(words)  # each row has the column: that is no news


def row_words(where: str) -> str:
    """Return where a row is as a message; a row itself, of which there are very many, keeps a plain text.

    >>> row_words("train.jsonl row 7").template
    '{name} row {number}'
    >>> row_words("train.csv row 7 line 9")
    'train.csv row 7 (line 9)'
    """
    name, _, number = where.rpartition(" row ")
    row, _, line = number.partition(" line ")
    if line:
        return Message("{name} row {number} (line {line})", name=name, number=row, line=line)
    return Message("{name} row {number}", name=name, number=number)


def short(value: object) -> str:
    """Return a value as an error shows it."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def text_of(value: object, name: str, *, may_lack: bool = False) -> str:
    """Return what a cell or turn says: text, parts of text, a number. Raises BadRow."""
    if isinstance(value, str):
        return value
    if not holds(value) and may_lack:
        return ""
    if isinstance(value, list) and value:
        return "".join(_part(part, f"{name}[{index}]") for index, part in enumerate(value))
    is_float = isinstance(value, float) and math.isfinite(value)
    if is_float or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)  # a number that a spreadsheet wrote
    raise BadRow(Message("{name} {value} is not text", name=name, value=short(value)))


def is_text_part(part: object) -> bool:
    """Return whether this is a part of text, as OpenAI's messages may have several."""
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _part(part: object, name: str) -> str:
    if isinstance(part, dict) and is_text_part(part):
        rest = sorted(str(key) for key, value in part.items() if key not in {"type", "text"} and holds(value))
        if not set(rest) - {"cache_control", "annotations"}:
            return str(part["text"])
    raise BadRow(Message("{name} {value} is not text", name=name, value=short(part)))


def list_of(value: object, name: str) -> list[object]:
    """Return a list; in a csv it is written as JSON. Raises BadRow."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parse_json(value, name)
    if not isinstance(value, (list, tuple)):
        raise BadRow(Message("{name} {value} is not a list", name=name, value=short(value)))
    return list(value)


def parse_json(text: str, name: str) -> object:
    """Return what JSON text in a cell stands for. Raises BadRow."""
    try:
        return json.loads(text, object_pairs_hook=as_object, parse_constant=_refuse_constant)
    except BadRow as error:
        raise BadRow(Message("{name}: {problem}", name=name, problem=error.args[0])) from None
    except (ValueError, RecursionError) as error:
        is_python = text.lstrip().startswith(("{'", "['", "[{'"))
        problem = Message("written by Python, not JSON (single quotes): use json.dumps") if is_python else _words(error)
        raise BadRow(
            Message("{name} {value} is not JSON: {problem}", name=name, value=short(text), problem=problem)
        ) from error


def as_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of JSON. Raises BadRow for a key that stands twice in it."""
    values = dict(pairs)
    if len(values) != len(pairs):
        raise BadRow(doubled(pairs))
    return values


def doubled(pairs: Iterable[tuple[str, object]]) -> str:
    """Return that a key stands twice in an object."""
    seen: set[str] = set()
    name = next((name for name, _ in pairs if name in seen or seen.add(name)), "")  # type: ignore[func-returns-value]
    return Message("{name!r} stands twice in one object", name=name)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)


def _words(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:60]
