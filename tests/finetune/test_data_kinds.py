"""The rule of the data: every column, turn, cell and row is learned, refused by its name, or counted in a notice."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen3ft_jupyter.errors import BadData, MissingPackage
from qwen3ft_jupyter.finetune.data import Data, Reading, read_named
from qwen3ft_jupyter.finetune.rows import METADATA

if TYPE_CHECKING:
    from pathlib import Path

U, A, S = "user", "assistant", "system"
CALL = {"name": "f", "arguments": {"a": 1}}
CALLS = [{"type": "function", "function": CALL}]
TURNS = [{"role": U, "content": "q"}, {"role": A, "content": "a"}]
TOOL = {"type": "function", "function": {"name": "f"}}


def read(folder: Path, rows: list[Any] | str | bytes, name: str = "t.jsonl", **options: Any) -> Data:
    if isinstance(rows, list):
        text = json.dumps(rows) if name.endswith(".json") else "\n".join(map(json.dumps, rows))
        rows = text
    (folder / name).write_bytes(rows.encode() if isinstance(rows, str) else rows)
    return read_named([str(folder / name)], Reading(**options))


def refusal(folder: Path, rows: list[Any] | str | bytes, name: str = "t.jsonl", **options: Any) -> str:
    with pytest.raises(BadData) as caught:
        read(folder, rows, name, **options)
    return str(caught.value)


def said(data: Data) -> list[tuple[Any, ...]]:
    """Return the turns of the first conversation: role, content, and what else there is of reasoning and calls."""
    return [
        (one.role, one.content, *filter(None, [one.reasoning, one.tool_calls and json.loads(one.tool_calls)]))
        for one in data.conversations[0].messages
    ]


def talk(*turns: tuple[str, Any], **columns: Any) -> dict[str, Any]:
    """Build a row of messages; a turn's content may be a dict of keys."""
    written = [{"role": role, **(said if isinstance(said, dict) else {"content": said})} for role, said in turns]
    return {"messages": written, **columns}


def sharegpt(*turns: tuple[str, Any], **columns: Any) -> dict[str, Any]:
    return {"conversations": [{"from": role, "value": value} for role, value in turns], **columns}


LEARNED: dict[str, tuple[dict[str, Any], list[tuple[Any, ...]]]] = {
    "a think column": ({"question": "q", "think": "t", "answer": "a"}, [(U, "q"), (A, "a", "t")]),
    "a column of another tool's name and case": (
        {"Question": "q", "Complex_CoT": "t", "Response": "a"},
        [(U, "q"), (A, "a", "t")],
    ),
    "columns in Chinese": ({"问题": "q", "思考": "t", "答案": "a"}, [(U, "q"), (A, "a", "t")]),
    "a thought in tags in its own column": (
        {"question": "q", "reasoning": "<think>\nt\n</think>", "answer": "a"},
        [(U, "q"), (A, "a", "t")],
    ),
    "a context column": ({"instruction": "q", "context": "c", "response": "a"}, [(U, "q\nc"), (A, "a")]),
    "a distilled row": ({"input": "q", "reasoning_content": "t", "content": "a"}, [(U, "q"), (A, "a", "t")]),
    "input as the only question": ({"input": "q", "output": "a"}, [(U, "q"), (A, "a")]),
    "system beside messages": ({"system": "s", **talk((U, "q"), (A, "a"))}, [(S, "s"), (U, "q"), (A, "a")]),
    "system_prompt in a table": (
        {"system_prompt": "s", "question": "q", "response": "a"},
        [(S, "s"), (U, "q"), (A, "a")],
    ),
    "the same system message twice": (talk((S, "s"), (U, "q"), (A, "a"), system="s"), [(S, "s"), (U, "q"), (A, "a")]),
    "instruction and query": ({"instruction": "i", "query": "q", "response": "a"}, [(U, "i\nq"), (A, "a")]),
    "instruction and question, one in the other": (
        {"instruction": "i\nq", "question": "q", "response": "a"},
        [(U, "i\nq"), (A, "a")],
    ),
    "a question whose letters happen to stand in the instruction": (
        {"instruction": "is this a letter?", "input": "a", "output": "yes"},
        [(U, "is this a letter?\na"), (A, "yes")],
    ),
    "history as JSON in a cell": (
        {"instruction": "q", "output": "a", "history": '[["x", "y"]]'},
        [(U, "x"), (A, "y"), (U, "q"), (A, "a")],
    ),
    "an empty answer in the middle costs its exchange alone": (
        talk((U, "1"), (A, "a"), (U, "2"), (A, ""), (U, "3"), (A, "c")),
        [(U, "1"), (A, "a"), (U, "3"), (A, "c")],
    ),
    "pairs of human and assistant": (
        {"conversation": [{"human": "q", "assistant": "a"}, {"human": "r", "assistant": "b"}]},
        [(U, "q"), (A, "a"), (U, "r"), (A, "b")],
    ),
    "pairs of input and output with a system message": (
        {"conversation": [{"system": "s", "input": "q", "output": "a"}]},
        [(S, "s"), (U, "q"), (A, "a")],
    ),
    "TRL's prompt and completion": (
        {"prompt": [{"role": U, "content": "q"}], "completion": [{"role": A, "content": "a"}]},
        [(U, "q"), (A, "a")],
    ),
    "TRL's prompt and completion as JSON in cells": (
        {
            "prompt": json.dumps([{"role": U, "content": "q"}]),
            "completion": json.dumps([{"role": A, "content": "a"}]),
        },
        [(U, "q"), (A, "a")],
    ),
    "a question of text with an answer of turns": (
        {"prompt": "q", "completion": [{"role": A, "content": "a"}]},
        [(U, "q"), (A, "a")],
    ),
    "an answer that is a list in JSON": (
        {"question": "q", "answer": '[{"n": 1}]'},
        [(U, "q"), (A, '[{"n": 1}]')],
    ),
    "a prompt that only repeats the first turn": ({"prompt": "q", **talk((U, "q"), (A, "a"))}, [(U, "q"), (A, "a")]),
    "reasoning and a call in one turn": (
        talk((U, "q"), (A, "<think>t</think>"), ("tool_call", json.dumps(CALL)), ("tool_response", "1"), (A, "a")),
        [(U, "q"), (A, "", "t", CALLS), ("tool", "1"), (A, "a")],
    ),
    "text and a call in one turn": (
        sharegpt(
            ("human", "q"), ("gpt", "look"), ("function_call", json.dumps(CALL)), ("observation", "1"), ("gpt", "a")
        ),
        [(U, "q"), (A, "look", CALLS), ("tool", "1"), (A, "a")],
    ),
    "two calls in a list": (
        sharegpt(("human", "q"), ("function_call", json.dumps([CALL, CALL])), ("observation", "1"), ("gpt", "a")),
        [(U, "q"), (A, "", CALLS * 2), ("tool", "1"), (A, "a")],
    ),
    "two calls in two turns": (
        sharegpt(("human", "q"), ("function_call", json.dumps(CALL)), ("function_call", json.dumps(CALL))),
        [(U, "q"), (A, "", CALLS * 2)],
    ),
    "calls and answers in the template's tags": (
        sharegpt(
            ("human", "q"),
            ("function_call", f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"),
            ("observation", "<tool_response>\n1\n</tool_response>"),
            ("gpt", "a"),
        ),
        [(U, "q"), (A, "", CALLS), ("tool", "1"), (A, "a")],
    ),
    "two tool answers in the template's tags": (
        talk(
            (U, "q"),
            (A, {"content": "", "tool_calls": [CALL, CALL]}),
            ("tool", "<tool_response>1</tool_response>\n<tool_response>2</tool_response>"),
            (A, "a"),
        ),
        [(U, "q"), (A, "", CALLS * 2), ("tool", "1"), ("tool", "2"), (A, "a")],
    ),
    "a thought beside a call": (
        talk((U, "q"), ("tool_call", {"content": json.dumps(CALL), "reasoning_content": "t"})),
        [(U, "q"), (A, "", "t", CALLS)],
    ),
    "a tool's answer that is a list": (
        talk((U, "q"), (A, {"content": "", "tool_calls": [CALL]}), ("tool", {"content": [{"n": 1}]}), (A, "a")),
        [(U, "q"), (A, "", CALLS), ("tool", '[{"n": 1}]'), (A, "a")],
    ),
    "an answer that declines": (
        talk((U, "q"), (A, {"content": None, "refusal": "no"})),
        [(U, "q"), (A, "no")],
    ),
    "tool calls as JSON text": (
        talk((U, "q"), (A, {"content": None, "tool_calls": json.dumps([CALL])})),
        [(U, "q"), (A, "", CALLS)],
    ),
    "OpenAI's older function_call": (
        talk((U, "q"), (A, {"content": None, "function_call": CALL}), ("function", "1"), (A, "a")),
        [(U, "q"), (A, "", CALLS), ("tool", "1"), (A, "a")],
    ),
    "a call that is an object": (
        talk((U, "q"), ("function_call", {"content": CALL}), ("tool", {"content": {"n": 1}}), (A, "a")),
        [(U, "q"), (A, "", CALLS), ("tool", '{"n": 1}'), (A, "a")],
    ),
    "a thought without its opening tag": (talk((U, "q"), (A, "t\n</think>\n\na")), [(U, "q"), (A, "a", "t")]),
    "a system message whose turn is blank": (
        talk((S, " "), (U, "q"), (A, "a"), system="s"),
        [(S, "s"), (U, "q"), (A, "a")],
    ),
    "no tool calls, as text": (
        talk(
            (U, "q"), (A, {"content": "a", "tool_calls": "[]"}), (U, "r"), (A, {"content": "b", "tool_calls": "null"})
        ),
        [(U, "q"), (A, "a"), (U, "r"), (A, "b")],
    ),
    "the same thought in tags and beside": (
        talk((U, "q"), (A, {"content": "<think>t</think>a", "reasoning_content": "t"})),
        [(U, "q"), (A, "a", "t")],
    ),
}


@pytest.mark.parametrize(("row", "turns"), LEARNED.values(), ids=LEARNED)
def test_it_is_learned(tmp_path: Path, row: dict[str, Any], turns: list[tuple[Any, ...]]) -> None:
    assert said(read(tmp_path, [row])) == turns


COUNTED: dict[str, tuple[dict[str, Any], str]] = {
    "columns about the rows": (
        {"question": "q", "answer": "a", "id": 7, "source": "s"},
        "not learned: id (1), source (1)",
    ),
    "columns of unknown names": ({"question": "q", "answer": "a", "mood": "m"}, "NOT learned, because .* mood (1)"),
    "keys of turns": (
        talk((U, {"content": "q", "mood": "m"}), (A, "a")),
        "NOT learned, because .* messages[].mood (1)",
    ),
    "a welcome before the first question": (
        sharegpt(("gpt", "hi"), ("human", "q"), ("gpt", "a")),
        "1 turns left out that come before the first question",
    ),
    "questions after the last answer": (
        talk((U, "q"), (A, "a"), (U, "r"), (U, "s")),
        "2 turns left out that come after the last answer",
    ),
    "an empty answer": (talk((U, "q"), (A, "a"), (U, "r"), (A, " ")), "2 turns left out because their answer is empty"),
    "an empty question": (
        talk((U, "q"), (A, "a"), (U, " "), (A, "b")),
        "2 turns left out because their question is empty",
    ),
    "an answer that is only a thought": (
        talk((U, "q"), (A, "a"), (U, "r"), (A, "<think>t</think>")),
        "2 turns left out because their answer is only a thought",
    ),
    "answers marked with loss": (
        talk((U, "q"), (A, {"content": "x", "loss": False}), (U, "r"), (A, "a")),
        "1 answers are context only",
    ),
    "answers marked with weight": (
        talk((U, "q"), (A, {"content": "x", "weight": 0}), (U, "r"), (A, {"content": "a", "weight": 1})),
        "1 answers are context only",
    ),
    "a pair marked with output_with_loss": (
        {"conversation": [{"input": "q", "output": "x", "output_with_loss": False}, {"input": "r", "output": "a"}]},
        "1 answers are context only",
    ),
    "a pair marked with loss": (
        {"conversation": [{"human": "q", "assistant": "x", "loss": False}, {"human": "r", "assistant": "a"}]},
        "1 answers are context only",
    ),
    "answers marked with train, in text": (
        talk((U, "q"), (A, {"content": "x", "train": "false"}), (U, "r"), (A, "a")),
        "1 answers are context only",
    ),
    "a user's turn with a weight": (
        talk((U, {"content": "q", "weight": 1}), (A, "a")),
        "1 turns ask to be learned that are no assistant's",
    ),
    "a user's turn marked to be learned": (
        talk((U, {"content": "q", "loss": True}), (A, "a")),
        "1 turns ask to be learned that are no assistant's",
    ),
    "a row that is not to be learned": (
        talk((U, "q"), (A, "a"), loss=False),
        "1 rows left out in which no answer is to be learned",
    ),
    "an answer that only says that there is none": (
        {"question": "q", "answer": "nan"},
        "1 rows hold a turn or a cell that is just nan",
    ),
    "an error of a spreadsheet for an answer": (
        {"question": "q", "answer": "#VALUE!"},
        "1 rows hold a turn or a cell that is just nan",
    ),
    "an answer that is undefined": (
        {"question": "q", "answer": "undefined"},
        "1 rows hold a turn or a cell that is just nan",
    ),
    "a thought that only says that there is none": (
        {"question": "q", "reasoning": "None", "answer": "a"},
        "1 rows hold a turn or a cell that is just nan",
    ),
    "an empty cell that a program wrote out beside the instruction": (
        {"instruction": "q", "input": "nan", "output": "a"},
        "1 rows hold a turn or a cell that is just nan",
    ),
    "NUL in an answer": ({"question": "q", "answer": "a\0b"}, "1 rows hold control characters"),
    "a lone carriage return in a question": ({"question": "q\rr", "answer": "a"}, "1 rows hold control characters"),
    "colours of a terminal in a system message": (
        talk((S, "\x1b[31ms"), (U, "q"), (A, "a")),
        "1 rows hold control characters",
    ),
    "a call in the text that is not closed": (
        talk((U, "q"), (A, '<tool_call>{"name": "f", "arguments": {}}')),
        "1 rows hold <tool_call> or <tool_response> tags that are not closed",
    ),
    "a call in the text that nobody can read": (
        talk((U, "q"), (A, "<tool_call>\nf(a)\n</tool_call>")),
        "1 rows hold <tool_call> or <tool_response> tags that are not closed",
    ),
    "a tool's answer in the text that is not closed": (
        talk((U, "q"), (A, "a"), (U, "<tool_response>1"), (A, "b")),
        "1 rows hold <tool_call> or <tool_response> tags that are not closed",
    ),
    "a call in the text of a tool that the row does not have": (
        talk((U, "q"), (A, f"<tool_call>\n{json.dumps(CALL)}\n</tool_call>"), tools=[{"name": "g"}]),
        "1 rows call a tool that is not among their tools",
    ),
    "text that was decoded wrongly": ({"question": "q", "answer": "a\ufffd"}, "1 rows hold the character U+FFFD"),
    "a thought that was decoded wrongly": (
        {"question": "q", "think": "t\ufffd", "answer": "a"},
        "1 rows hold the character U+FFFD",
    ),
    "a thought in another model's tags": (
        {"question": "q", "answer": "<thinking>t</thinking>a"},
        "1 rows hold marks of other models or of pictures",
    ),
    "turns as another model's template writes them": (
        {"question": "<s>[INST] q [/INST]", "answer": "a"},
        "1 rows hold marks of other models or of pictures",
    ),
    "the end of a turn of another model": (
        {"question": "q", "answer": "a<|eot_id|>"},
        "1 rows hold marks of other models or of pictures",
    ),
    "a picture that is not there": (
        {"question": "<image>\nWhat is this?", "answer": "a"},
        "1 rows hold marks of other models or of pictures",
    ),
    "a row that says what the first one does": (
        {"question": "q", "answer": "a"},
        "1 rows are the same as an earlier one",
    ),
    "turns that are none": ({"messages": []}, "1 rows left out that hold nothing"),
    "an answer marked with loss_mask": (
        talk((U, "q"), (A, {"content": "x", "loss_mask": 0}), (U, "r"), (A, "a")),
        "1 answers are context only",
    ),
    "a call of a tool that the row does not have": (
        talk((U, "q"), (A, {"content": "", "tool_calls": [CALL]}), tools=[{"name": "g"}]),
        "1 rows call a tool that is not among their tools",
    ),
    "a column without a name": ({"": "text", "question": "q", "answer": "a"}, "NOT learned, because .* (…) (1)"),
    "a row of a pandas index": ({"": 0, "question": "q", "answer": "a"}, "about the rows, not learned: "),
}


@pytest.mark.parametrize(("row", "words"), COUNTED.values(), ids=COUNTED)
def test_it_is_counted_in_a_notice(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    notices = read(tmp_path, [talk((U, "q"), (A, "a")), row]).report.notices

    head, _, tail = words.partition(" .* ")
    assert any(head in notice and tail in notice for notice in notices), notices


def test_a_whole_number_of_any_length_is_text(tmp_path: Path) -> None:
    [found] = read(tmp_path, [{"question": "10 ** 400", "answer": 10**400}]).conversations

    assert found.messages[1].content == f"1{'0' * 400}"


@pytest.mark.parametrize("tag", ["tool_call", "tool_response"])
def test_an_answer_that_opens_one_tag_without_end_is_read_at_once(tmp_path: Path, tag: str) -> None:
    """A search for the end at each of them would take an hour."""
    notices = read(tmp_path, [talk((U, f"<{tag}>x " * 200_000), (A, f"<{tag}>x " * 200_000))]).report.notices

    assert any("tags that are not closed" in notice for notice in notices)


@pytest.mark.parametrize(
    "answer", ["if a[0] < b: <b>", "<think>\nt\n</think>\n\na", "a <img src='x'> [INSTALL]", "<images>", "x|end|>"]
)
def test_what_only_looks_like_a_mark_of_another_model_is_not_counted(tmp_path: Path, answer: str) -> None:
    notices = read(tmp_path, [{"question": "q", "answer": answer}]).report.notices

    assert not any("marks of other models" in notice for notice in notices)


@pytest.mark.parametrize(
    "prompt",
    [
        '[{"value": 3}, {"value": 4}] What is the sum?',
        '[{"content": "x", "n": 3}]',
        '[{"from": "A", "to": "B"}]',
        '[{"role": "user", "content": "hi"}] What does this JSON say?',
    ],
)
@pytest.mark.parametrize("objective", ["sft", "dpo"])
def test_a_prompt_that_begins_with_json_of_another_kind_is_text(tmp_path: Path, prompt: str, objective: str) -> None:
    answers = {"completion": "a"} if objective == "sft" else {"chosen": "a", "rejected": "b"}

    [found] = read(tmp_path, [{"prompt": prompt, **answers}], objective=objective).conversations

    assert found.messages[0].content == prompt


@pytest.mark.parametrize(
    "prompt", ['[{"role": "user", "content": "q"}', '[{"role": "user", "conte', '[{"role": "x", "content": "q"}]']
)
def test_a_prompt_of_turns_that_was_cut_off_or_has_a_strange_role_is_refused(tmp_path: Path, prompt: str) -> None:
    with pytest.raises(BadData, match=r"prompt"):
        read(tmp_path, [{"prompt": prompt, "completion": '[{"role": "assistant", "content": "a"}]'}])


@pytest.mark.parametrize(
    ("one", "other", "objective"),
    [
        ({"question": "q", "answer": "a"}, {"question": "q", "answer": "b"}, "sft"),
        ({"question": "q", "answer": "a"}, {"question": "q", "answer": "a", "system": "s"}, "sft"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "q", "chosen": "a", "rejected": "c"}, "dpo"),
        (talk((U, "q"), (A, "a")), talk((U, "q"), (A, "a"), tools=[{"name": "g"}]), "sft"),
    ],
    ids=["answer", "system", "rejected", "tools"],
)
def test_rows_that_differ_are_not_taken_for_the_same(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], objective: str
) -> None:
    notices = read(tmp_path, [one, other], objective=objective).report.notices

    assert not any("the same as an earlier one" in notice for notice in notices)


@pytest.mark.parametrize("mark", [{"weight": "0"}, {"loss": "False"}, {"weight": 0.0}, {"mask": "1"}])
@pytest.mark.parametrize(
    ("row", "objective"),
    [
        ({"question": "q", "answer": "a"}, "sft"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "dpo"),
        ({"text": "a"}, "pretrain"),
    ],
    ids=["sft", "dpo", "pretrain"],
)
def test_a_row_marked_as_not_to_be_learned_is_left_out_however_the_mark_is_written(
    tmp_path: Path, row: dict[str, str], objective: str, mark: dict[str, Any]
) -> None:
    """In a csv every mark is text."""
    report = read(tmp_path, [row, {**row, **mark}], objective=objective).report

    assert (report.conversations, report.empty) == (1, 1)
    assert report.left_out == ("t.jsonl row 2: no answer in it is to be learned",)


@pytest.mark.parametrize(
    ("row", "objective"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b\0"}, "dpo"),
        ({"text": "a\0"}, "pretrain"),
    ],
)
def test_what_is_odd_is_counted_whatever_rows_are_read_for(tmp_path: Path, row: dict[str, str], objective: str) -> None:
    notices = read(tmp_path, [row], objective=objective).report.notices

    assert any(one.startswith("1 rows hold control characters") for one in notices)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1e"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.json"])
def test_a_sign_that_only_some_take_for_a_line_break_costs_nothing_of_a_row(
    tmp_path: Path, name: str, sign: str
) -> None:
    """Rows are counted first, and read again when they are learned: the same has to be found."""
    question, answer = f"q{sign}r", f"a{sign}b"
    parting = "\t" if name == "t.tsv" else ","
    table = f"question{parting}answer\n{question}{parting}{answer}\n"
    rows = [{"question": question, "answer": answer}]

    data = read(tmp_path, table if name in {"t.csv", "t.tsv"} else rows, name)

    assert said(data) == [(U, question), (A, answer)]


def test_an_answer_marked_as_context_is_not_learned(tmp_path: Path) -> None:
    row = talk((U, "q"), (A, {"content": "WRONG", "loss": False}), (U, "r"), (A, "a"))

    messages = read(tmp_path, [row]).conversations[0].messages

    assert [one.is_learned for one in messages if one.role == A] == [False, True]


def test_of_a_prompt_only_the_completion_is_learned(tmp_path: Path) -> None:
    prompt = [{"role": U, "content": "q"}, {"role": A, "content": "a"}, {"role": U, "content": "r"}]

    data = read(tmp_path, [{"prompt": prompt, "completion": [{"role": A, "content": "b"}]}])

    assert [one.is_learned for one in data.conversations[0].messages if one.role == A] == [False, True]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "history as an object": (
        {"instruction": "q", "output": "a", "history": {"q": "a"}},
        "history {'q': 'a'} is not a list",
    ),
    "history as text": ({"instruction": "q", "output": "a", "history": "x"}, "history 'x' is not a list"),
    "history as turns": (
        {"instruction": "q", "output": "a", "history": [{"role": U}]},
        "history[0] is not a pair of question and answer",
    ),
    "a list for the system message": (
        sharegpt(("human", "q"), ("gpt", "a"), system=["s"]),
        "system[0] 's' is not text",
    ),
    "two system messages": (talk((S, "s"), (U, "q"), (A, "a"), system="t"), "the system message stands twice"),
    "two answers": ({"question": "q", "answer": "a", "response": "b"}, "all have a value: say in columns"),
    "two questions": ({"question": "q", "prompt": "r", "answer": "a"}, "all have a value: say in columns"),
    "two columns of one name": (
        {"question": "q", "Answer": "a", "answer": "b"},
        "'Answer' and 'answer' are columns of one",
    ),
    "a system message beside a prompt with another one": (
        {
            "system": "s",
            "prompt": [{"role": S, "content": "t"}, {"role": U, "content": "q"}],
            "completion": [{"role": A, "content": "a"}],
        },
        "the system message stands twice",
    ),
    "a system message in a completion": (
        {
            "prompt": [{"role": U, "content": "q"}],
            "completion": [{"role": S, "content": "s"}, {"role": A, "content": "a"}],
        },
        "a system message stands behind other turns",
    ),
    "turns that Python wrote into a prompt": (
        {"prompt": "[{'role': 'user', 'content': 'q'}]", "completion": "a"},
        "prompt \"[{'role': 'user', 'content': 'q'}]\" is not JSON: written by Python",
    ),
    "a question beside turns": (talk((U, "q"), (A, "a"), instruction="i"), "instruction stands beside the turns"),
    "turns that Python wrote into a cell": (
        {"messages": "[{'role': 'user', 'content': 'q'}]"},
        "is not JSON: written by Python, not JSON (single quotes): use json.dumps",
    ),
    "a KTO row": (
        {"prompt": "q", "completion": "a", "label": False},
        "label False says whether the answer is a good one",
    ),
    "a KTO row of numbers": ({"prompt": "q", "completion": "a", "label": 0}, "label 0 says whether the answer is"),
    "a KTO row of words": (
        {"prompt": "q", "completion": "a", "label": "False"},
        "label 'False' says whether the answer is",
    ),
    "a KTO row of LLaMA-Factory": ({"prompt": "q", "completion": "a", "kto_tag": False}, "kto_tag False says whether"),
    "a row that is a book": (
        {"question": "q" * 10_000_001, "answer": "a"},
        "10,000,002 characters; a conversation has",
    ),
    "a rejected answer": (
        {"query": "q", "response": "a", "rejected_response": "b"},
        "rejected_response: preference data",
    ),
    "a preference pair": ({"prompt": "q", "chosen": "a", "rejected": "b"}, "chosen, rejected: preference data"),
    "a preference pair of turns": (
        {
            **sharegpt(("human", "q")),
            "chosen": {"from": "gpt", "value": "a"},
            "rejected": {"from": "gpt", "value": "b"},
        },
        "chosen, rejected: preference data",
    ),
    "pictures": ({"query": "<image>q", "response": "a", "images": ["x.jpg"]}, "images: pictures, sound and video"),
    "a picture in a turn": (talk((U, {"content": "q", "image": "x.jpg"}), (A, "a")), "messages[0].image: pictures"),
    "a picture among the parts of a turn": (
        talk((U, [{"type": "image", "image": "x"}]), (A, "a")),
        "messages[0].content[0]",
    ),
    "a share of the loss": (talk((U, "q"), (A, {"content": "a", "weight": 0.5})), "messages[1].weight is neither true"),
    "contradicting marks": (talk((U, "q"), (A, {"content": "a", "loss": True, "weight": 0})), "contradict each other"),
    "two texts in a turn": (talk((U, {"content": "q", "value": "r"}), (A, "a")), "content, value all have a value"),
    "two thoughts": (
        talk((U, "q"), (A, {"content": "<think>x</think>a", "reasoning_content": "y"})),
        "messages[1].content has a thought in think tags, and another one",
    ),
    "think tags in the middle": (talk((U, "q"), (A, "Sure. <think>t</think> a")), "messages[1].content has think tags"),
    "think tags without an end": (talk((U, "q"), (A, "<think>t")), "messages[1].content has think tags"),
    "two think blocks": (
        talk((U, "q"), (A, "<think>a</think><think>b</think>c")),
        "messages[1].content has think tags",
    ),
    "tools that are no tools": (talk((U, "q"), (A, "a"), tools=[{"x": 1}]), "tools[0] {'x': 1} is not a tool"),
    "tools that are no JSON": (talk((U, "q"), (A, "a"), tools="[f("), "tools '[f(' is not JSON"),
    "a call that no parser reads": (
        sharegpt(("human", "q"), ("function_call", "f(a=1)"), ("observation", "1"), ("gpt", "a")),
        "conversations[1].value 'f(a=1)' is not JSON",
    ),
    "a call without arguments": (
        talk((U, "q"), (A, {"content": "", "tool_calls": [{"function": {"name": "f"}}]})),
        "messages[1].tool_calls[0] {'function': {'name': 'f'}}: a tool call needs arguments",
    ),
    "a call without a name": (talk((U, "q"), (A, {"content": "", "tool_calls": [{"arguments": {}}]})), "needs a name"),
    "a call whose arguments are no object": (
        talk((U, "q"), (A, {"content": "", "tool_calls": [{"name": "f", "arguments": "[1]"}]})),
        "tool_calls[0].arguments '[1]' is not an object",
    ),
    "a call whose arguments are no JSON": (
        talk((U, "q"), (A, {"content": "", "tool_calls": [{"name": "f", "arguments": "{a: 1}"}]})),
        "tool_calls[0].arguments '{a: 1}' is not JSON",
    ),
    "a call of a user": (
        talk((U, {"content": "q", "tool_calls": [CALL]}), (A, "a")),
        "messages[0].tool_calls: only an assistant's",
    ),
    "a thought of a user": (
        talk((U, {"content": "q", "reasoning_content": "t"}), (A, "a")),
        "messages[0].reasoning_content: only",
    ),
    "tools in a turn": (
        talk((S, {"content": "s", "tools": [TOOL]}), (U, "q"), (A, "a")),
        "messages[0].tools: tools are a column",
    ),
    "half a turn to learn": (
        talk(
            (U, "q"), (A, {"content": "a", "loss": False}), ("tool_call", {"content": json.dumps(CALL), "loss": True})
        ),
        "one part of this turn is to be learned",
    ),
    "a turn whose role is empty": (talk((None, "q"), (A, "a")), "messages[0].role None is not one of system, "),  # type: ignore[arg-type]
    "two roles in a turn": (talk((U, {"content": "q", "from": "gpt"}), (A, "a")), "messages[0]: role, from all have"),
    "two keys of one name in a turn": (
        talk((U, {"content": "q", "Content": "r"}), (A, "a")),
        "messages[0]: 'content' and 'Content' are columns of one name",
    ),
    "a row of a table among turns": ({"foo": "q"}, "it has no messages; its columns are foo"),
    "a character that is none": ({"question": "q", "answer": "a\ufdd0"}, "it holds U+FDD0"),
    "turns without role": (
        {"conversation": [{"foo": "q", "bar": "a"}]},
        "conversation[0] is not a turn: it has no role and content, nor from and value; its keys are foo, bar",
    ),
    "a prompt of turns with an answer of text": (
        {"prompt": [{"role": U, "content": "q"}], "completion": "a"},
        "prompt is a list of turns, so the answer beside it has to be one",
    ),
}


@pytest.mark.parametrize(("row", "words"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_by_row_and_field_and_obeys_skip_bad_rows(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    rows = [talk((U, "q"), (A, "a")), row]

    message = refusal(tmp_path, rows)
    skipped = read(tmp_path, rows, skip_bad_rows=True)

    assert message.startswith("t.jsonl row 2: ")
    assert words in message
    assert (skipped.report.conversations, skipped.report.bad) == (1, 1)
    assert any(
        "1 rows left out that cannot be mapped; the first: t.jsonl row 2" in one for one in skipped.report.notices
    )


BROKEN: dict[str, tuple[str, str]] = {
    "a key that stands twice": ('{"question": "q", "answer": "a", "answer": "b"}', "row 2: 'answer' stands twice"),
    "a key that stands twice deep down": (
        '{"messages": [{"role": "user", "role": "system", "content": "q"}]}',
        "row 2: 'role' stands twice",
    ),
    "a line cut off": ('{"question": "q", "ans', "row 2 is not JSON: cut off"),
    "a list": ("[1]", "row 2 is not an object, but a list"),
    "a row encoded twice": (json.dumps('{"question": "q"}'), "row 2 is not an object, but a text that holds JSON"),
    "a comma after a row": ('{"question": "q", "answer": "a"},', "row 2 is not JSON: a comma after the object"),
    "a comment": ("// no", "row 2 is not JSON: a comment"),
    "a page of HTML": ("<!DOCTYPE html>", "row 2 is not JSON: a page of HTML"),
    "a pointer of git-lfs": ("version https://git-lfs.github.com/spec/v1", "row 2 is not JSON: a pointer of git-lfs"),
    "a byte order mark inside": ('\ufeff{"question": "q", "answer": "a"}', "row 2 is not JSON: a byte order mark"),
    "Python's quotes": ("{'question': 'q', 'answer': 'a'}", "row 2 is not JSON: written by Python"),
    "half a character": ('{"question": "q\\ud800", "answer": "a"}', "row 2: half of a character"),
    "two objects in a line": ('{"question": "q"} {"answer": "a"}', "row 2 is not JSON: more than one value"),
    "a comma at the end of an object": ('{"question": "q",}', "row 2 is not JSON: a comma before the end of a list or"),
    "lines ended by a return alone": ('{"question": "q"}\r{"answer": "a"}', "row 2 is not JSON: lines that end with"),
    "a file that was not written to its end": ("\0\0\0", "row 2 is not JSON: nothing but NUL bytes"),
    "a tab in a text": ('{"question": "q\t"}', "row 2 is not JSON: Invalid control character at character 16"),
    "a word": ("hello", "row 2 is not JSON: Expecting value at character 1, near 'hello'"),
}


@pytest.mark.parametrize(("line", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named_with_its_cause_and_obeys_skip_bad_rows(tmp_path: Path, line: str, words: str) -> None:
    text = f'{{"question": "q", "answer": "a"}}\n{line}\n'

    assert words in refusal(tmp_path, text)
    assert read(tmp_path, text, skip_bad_rows=True).report.bad == 1


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "a.csv",
            b"PK\x03\x04\x14\x00",
            "a.csv is a spreadsheet of Excel (.xlsx), or a zip file: save the table as CSV",
        ),
        ("a.jsonl", b"\x1f\x8b\x08\x00", "a.jsonl is compressed by gzip: unpack it"),
        ("a.json", b"PAR1\x15\x04", "a.json is a parquet file: give it the ending .parquet"),
        ("a.csv", "question,input,answer\nq,a\n", "row 1 (line 2) has 2 cells, the first line names 3 columns"),
        ("a.csv", "question,answer\nq,a,b\n", "row 1 (line 2) has 3 cells"),
        ("a.csv", 'question,answer\n"q\nr",a\nq\n', "row 2 (line 4) has 1 cells"),
        ("a.csv", "question,answer,answer\nq,a,b\n", "the columns 'answer' stand twice in the first line"),
        ("a.csv", 'question,answer\nq,"a\nq,b\n', "not a csv file from line 2 on"),
        ("a.json", '[{"question": "q", "answer": "a", "answer": "b"}]', "row 1: 'answer' stands twice"),
        ("a.json", '{"train": [{"a": 1}], "validation": [{"a": 1}]}', "has several lists: train, validation"),
        ("a.json", '[{"question": "q", "answer": "\\uDC00"}]', "row 1: half of a character"),
        ("a.json", '"x"', "is not a list of rows, but 'x'"),
        ("a.json", '[{"question": "q"}', "is not JSON (line 1)"),
        ("a.jsonl", '[{"question": "q", "answer": "a"}]', "One list of all rows is called .json"),
        ("a.jsonl", '{\n"question": "q"\n}', "row 1 is not JSON: one value over many lines: call the file .json"),
        ("a.jsonl", "", "holds no rows. Each row is a question with its answer"),
        ("a.txt", "Once upon a time", "plain text, which has no questions and answers"),
        (
            "a.json",
            '[{"question": "q", "answer": "a"},]',
            "a comma before the end of a list or object, at character 35",
        ),
        ("a.parquet", "x", "parquet"),
        ("a.parquet", "[1]", "It begins otherwise than one: give it the ending of what it is"),
        ("a.parquet", b"ARROW1\0\0", "a.parquet is an Arrow file"),
        (
            "a.parquet",
            "version https://git-lfs.github.com/spec/v1\n",
            "a pointer of git-lfs, not the file: run git lfs",
        ),
        ("a.xlsx", "version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs, not the file: run git lfs"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs, not the file: run git lfs"),
        ("a.txt", "version https://git-lfs.github.com/spec/v1\n", "a pointer of git-lfs, not the file: run git lfs"),
        ("a.csv", "<!DOCTYPE html><html></html>", "a page of HTML or XML, not data: download the file itself"),
        ("a.csv", '[{"question": "q"}]', "a.csv holds JSON, not a table"),
        ("a.csv", "sep=;\nquestion;answer\nq;a\n", "the first line, 'sep=;', tells Excel what parts the columns"),
        ("a.csv", "question,answer\nq,a\n".encode("utf-32"), "a.csv is UTF-32 text: save it as UTF-8"),
        ("a.jsonl", b"7z\xbc\xaf\x27\x1c", "a.jsonl is compressed by 7-Zip: unpack it"),
    ],
)
def test_a_file_that_would_lose_something_is_refused(tmp_path: Path, name: str, text: str | bytes, words: str) -> None:
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)

    with pytest.raises(Exception, match="a\\.") as caught:
        read_named([str(tmp_path / name)], Reading())

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ('{"question": "q", "answer": "a"}'.encode("utf-16-le"), "UTF-16 without a mark"),
        (
            '{"question": "问题问题", "answer": "a"}\n{"question": "q'.encode() + b'\xff", "answer": "a"}',
            "but for line 2",
        ),
    ],
)
def test_an_encoding_that_would_make_nonsense_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    assert words in refusal(tmp_path, raw)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (talk((A, "a")), "1 rows left out that have no question"),
        (talk((S, "s")), "1 rows left out that have no question"),
        (talk((U, "q")), "1 rows left out that have no answer"),
        (talk((U, "q"), (A, "")), "1 rows left out whose answer is empty"),
        ({"question": "q", "answer": ""}, "1 rows left out whose answer is empty"),
        (talk((U, "q"), (A, "<think>t</think>")), "1 rows left out whose answer is only a thought"),
        (talk((U, "q"), (A, {"content": "a", "loss": 0})), "1 rows left out in which no answer is to be learned"),
        ({"question": "", "answer": ""}, "1 rows left out that hold nothing"),
    ],
)
def test_a_row_without_anything_to_learn_is_counted_under_its_reason(
    tmp_path: Path, row: dict[str, Any], words: str
) -> None:
    rows = [talk((U, "q"), (A, "a")) if "messages" in row else {"question": "q", "answer": "a"}, row]

    assert any(words in notice and "row 2" in notice for notice in read(tmp_path, rows).report.notices)
    assert words in refusal(tmp_path, [rows[1]], data_format="messages" if "messages" in row else "alpaca")


@pytest.mark.parametrize("tools", [" ", [], None, "[]"])
def test_tools_that_say_nothing_are_none(tmp_path: Path, tools: object) -> None:
    assert read(tmp_path, [talk((U, "q"), (A, "a"), tools=tools)]).conversations[0].tools in {"", "[]"}


@pytest.mark.parametrize(
    "tools",
    [
        TOOL,
        [TOOL],
        json.dumps([TOOL]),
        json.dumps(TOOL),
        [{"name": "f"}],
        json.dumps([{"name": "f"}]),
        [json.dumps(TOOL)],
    ],
)
def test_tools_in_any_form_become_what_a_server_sends(tmp_path: Path, tools: object) -> None:
    conversation = read(tmp_path, [talk((U, "q"), (A, "a"), tools=tools)]).conversations[0]

    assert json.loads(conversation.tools) == [TOOL]


def test_named_columns_are_learned_and_all_others_only_counted(tmp_path: Path) -> None:
    row = {"Q": "q", "C": "c", "good": "a", "rejected": "b", "answer": "x"}

    data = read(tmp_path, [row], columns={"question": ("Q", "C"), "answer": ("good",)})

    assert said(data) == [(U, "q\nc"), (A, "a")]
    assert any("rejected (1), answer (1)" in notice for notice in data.report.notices)


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"question": "prompt", "answer": "chosen"}),
        ({"prompt": "q", "chosen": TURNS, "rejected": TURNS}, {"messages": "chosen"}),
        ({"prompt": "q", "chosen": TURNS[1:], "rejected": TURNS}, {"question": "prompt", "answer": "chosen"}),
        ({"messages": TURNS, "rejected_response": "b"}, {"messages": "messages"}),
    ],
    ids=["texts", "whole conversations", "answers in turns", "turns beside a rejected answer"],
)
def test_the_cure_told_for_preference_data_learns_the_good_answers(
    tmp_path: Path, row: dict[str, Any], columns: dict[str, str]
) -> None:
    cure = ", ".join(f"{part}: {name}" for part, name in columns.items())

    assert f"for example columns: {{{cure}}}" in refusal(tmp_path, [row])
    assert said(read(tmp_path, [row], columns={part: (name,) for part, name in columns.items()})) == [
        (U, "q"),
        (A, "a"),
    ]


def test_a_conversation_that_is_named_as_an_answer_is_told_how_to_name_it(tmp_path: Path) -> None:
    told = {"question": ("prompt",), "answer": ("chosen",)}

    assert "columns: {messages: chosen}" in refusal(tmp_path, [{"prompt": "q", "chosen": TURNS}], columns=told)


def test_turns_in_a_column_that_is_not_named_are_not_learned(tmp_path: Path) -> None:
    data = read(tmp_path, [{"prompt": TURNS, "Q": "x", "A": "y"}], columns={"question": ("Q",), "answer": ("A",)})

    assert said(data) == [(U, "x"), (A, "y")]


def test_a_prompt_without_a_completion_is_counted(tmp_path: Path) -> None:
    row = {"prompt": TURNS[:1], "completion": []}

    report = read(tmp_path, [{**row, "completion": TURNS[1:]}, row]).report

    assert report.left_out == ("t.jsonl row 2: it has no answer",)


def test_a_system_message_beside_a_pair_with_another_one_is_refused(tmp_path: Path) -> None:
    prompt = [{"role": S, "content": "t"}, {"role": U, "content": "q"}]
    row = {"system": "s", "prompt": prompt, "chosen": TURNS[1:], "rejected": [{"role": A, "content": "b"}]}

    assert "the system message stands twice" in refusal(tmp_path, [row], objective="dpo")


def test_a_named_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    columns = {"question": ("Q",), "answer": ("B",)}

    assert "lacks columns that the config names (answer: B); it has Q, A" in refusal(
        tmp_path, [{"Q": "q", "A": "a"}], columns=columns
    )


def test_rows_of_two_formats_in_one_file_are_both_learned(tmp_path: Path) -> None:
    data = read(tmp_path, [talk((U, "q"), (A, "a")), {"question": "q", "answer": "a"}])

    assert data.report.conversations == 2
    assert data.report.notices[0] == "t.jsonl: 2 rows, format messages + alpaca"


def test_what_columns_were_taken_for_is_shown_where_their_names_are_not_the_usual(tmp_path: Path) -> None:
    row = {"Question": "q", "Complex_CoT": "t", "Response": "a"}

    shown = read(tmp_path, [row]).report.notices
    usual = read(tmp_path, [{"instruction": "q", "output": "a"}]).report.notices
    own = read(tmp_path, [{"question": "q", "answer": "a"}]).report.notices

    assert shown[1] == "t.jsonl: columns learned: question = Question, answer = Response, reasoning = Complex_CoT"
    assert len(usual) == len(own) == 1


def test_a_share_of_rows_that_cannot_be_learned_is_a_warning(tmp_path: Path) -> None:
    rows = [{"question": "q", "answer": "a"}, *[{"question": "q", "answer": ""}] * 3]

    assert read(tmp_path, rows).report.notices[-1] == "WARNING: only 25 % of the rows can be learned from."


def test_what_is_not_read_of_a_folder_is_named(tmp_path: Path) -> None:
    read(tmp_path, [{"question": "q", "answer": "a"}])
    for name in ("notes.md", "b.xlsx", ".hidden.jsonl"):
        (tmp_path / name).write_text("")

    notices = read_named([str(tmp_path)], Reading()).report.notices

    assert notices[0].endswith(": not read, being no files of data: b.xlsx, notes.md")


def test_a_folder_beside_files_of_data_is_named_as_not_read(tmp_path: Path) -> None:
    read(tmp_path, [{"question": "q", "answer": "a"}])
    (tmp_path / "more").mkdir()
    read(tmp_path / "more", [{"question": "r", "answer": "b"}])

    notices = read_named([str(tmp_path)], Reading()).report.notices

    assert notices[0].endswith(": folders not read, as files of data stand beside them: more")


@pytest.mark.parametrize("sign", [";", "\t", "，"])
def test_a_csv_parted_by_another_sign_is_read_and_told(tmp_path: Path, sign: str) -> None:
    data = read(tmp_path, f"question{sign}answer\nq{sign}a, b\n", "t.csv")

    assert said(data) == [(U, "q"), (A, "a, b")]
    assert "columns are parted by" in data.report.notices[0]


def test_blank_lines_before_the_names_of_columns_are_passed_over(tmp_path: Path) -> None:
    data = read(tmp_path, "\n\r\nquestion;answer\nq;a\n", "t.csv")

    assert said(data) == [(U, "q"), (A, "a")]
    assert data.conversations[0].where == "t.csv row 1 line 4"


def test_a_tsv_is_read(tmp_path: Path) -> None:
    assert said(read(tmp_path, "question\tanswer\nq\ta\n", "t.tsv")) == [(U, "q"), (A, "a")]


def test_folders_patterns_and_numbers_of_rows_are_understood(tmp_path: Path) -> None:
    rows = [{"question": str(number), "answer": "a"} for number in range(20)]
    for name in ("a.jsonl", "b.jsonl"):
        read(tmp_path, rows, name)
    (tmp_path / "notes.md").write_text("no data")

    assert read_named([str(tmp_path)], Reading()).report.rows == 40
    assert read_named([str(tmp_path / "*.jsonl")], Reading()).report.rows == 40
    drawn = read_named([str(tmp_path / "a.jsonl#5"), str(tmp_path / "b.jsonl#30")], Reading())
    assert drawn.report.conversations == 25
    assert "15 rows left out because a.jsonl#5 (15) asks for fewer." in drawn.report.notices
    assert "b.jsonl#30: there are only 20 rows; all are taken" in drawn.report.notices
    alone = read_named([str(tmp_path / "a.jsonl#5")], Reading())
    assert list(alone.conversations) == list(drawn.conversations[:5])


def test_every_wrong_file_and_row_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\nq\n")
    (tmp_path / "b.json").write_text("{")

    with pytest.raises(BadData) as caught:
        read_named([str(tmp_path / name) for name in ("a.csv", "b.json", "c.jsonl", "d.pkl")], Reading())

    for words in ("a.csv row 1 (line 2) has 1 cells", "b.json is not JSON", "c.jsonl does not exist", "d.pkl"):
        assert words in caught.value.message


NAMES = st.text("abcxyz_", min_size=1, max_size=6).map(lambda name: f"zz_{name}")
VALUES = st.one_of(
    st.text("abc ", min_size=1).filter(str.strip), st.integers(), st.lists(st.integers(), min_size=1), st.booleans()
)
EXTRA = st.dictionaries(NAMES, VALUES, max_size=3)
TURN = st.tuples(st.sampled_from([U, A, "tool"]), st.sampled_from(["", "text", " ", "<think>t</think>", "more"]), EXTRA)


def test_parquet_is_read_with_what_only_other_rows_have_left_away(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [
        talk((U, "q"), (A, {"content": None, "tool_calls": [{"type": "function", "function": CALL}]})),
        talk((U, "r"), (A, "b")),
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")

    data = read_named([str(tmp_path / "a.parquet")], Reading())

    assert said(data) == [(U, "q"), (A, "", CALLS)]
    assert data.report.notices == ("a.parquet: 2 rows, format messages",)


def test_parquet_without_pyarrow_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")

    with pytest.raises(MissingPackage, match=r"reading parquet needs pyarrow\. pip install pyarrow"):
        read_named([str(tmp_path / "a.parquet")], Reading())


@settings(max_examples=60, deadline=None, suppress_health_check=[*HealthCheck])
@given(
    rows=st.lists(st.tuples(st.lists(TURN, min_size=1, max_size=7), EXTRA), min_size=1, max_size=4),
    has_metadata=st.booleans(),
)
def test_whatever_a_row_holds_is_accounted_for(
    tmp_path: Path, rows: list[tuple[list[tuple[str, str, dict[str, Any]]], dict[str, Any]]], *, has_metadata: bool
) -> None:
    written = [
        {"messages": [{"role": role, "content": text, **extra} for role, text, extra in turns], **columns}
        | ({"id": 1} if has_metadata else {})
        for turns, columns in rows
    ]
    keep = talk((U, "q"), (A, "a"))

    report = (data := read(tmp_path, [keep, *written])).report

    text = " ".join(report.notices)
    names = {name for _, columns in rows for name in columns}
    names |= {f"messages[].{name}" for turns, _ in rows for _, _, extra in turns for name in extra}
    assert all(f"{name} (" in text for name in names)
    assert not has_metadata or "id (" in text
    assert report.rows == report.conversations + report.empty + report.bad == len(rows) + 1
    total = 2 + sum(len(turns) for turns, _ in rows)
    kept = sum(len(one.messages) for one in data.conversations)
    in_rows = _turns_of_rows_left_out(data, rows)
    assert total == kept + in_rows + _counted(report.notices, "turns left out")


def _turns_of_rows_left_out(data: Data, rows: list[tuple[list[Any], Any]]) -> int:
    kept = {int(one.where.rpartition(" ")[2]) for one in data.conversations}
    return sum(len(turns) for number, (turns, _) in enumerate(rows, 2) if number not in kept)


def _counted(notices: tuple[str, ...], words: str) -> int:
    return sum(int(notice.split()[0]) for notice in notices if words in notice)


def test_columns_about_rows_are_compared_by_their_plain_names() -> None:
    assert all(name == name.lower() and " " not in name for name in METADATA)


def test_a_table_without_names_of_columns_is_told_how_to_get_them(tmp_path: Path) -> None:
    """Named as they are, the first row would be lost."""
    said = refusal(tmp_path, "What is 1?,One\nWhat is 2?,Two\n", "t.csv")

    assert "If the first line is a row already, write the names above it, such as question,answer." in said
    assert "first line" not in refusal(tmp_path, [{"Q": "1", "A": "2"}])


def test_columns_are_proposed_by_what_they_are_called(tmp_path: Path) -> None:
    said = refusal(tmp_path, [{"context": "Blue", "question": "who?", "answers": {"text": ["Blue"]}}])

    assert "columns: {question: question, answer: answers}" in said


@pytest.mark.parametrize(
    "table",
    [
        {"question": {"0": "a", "1": "b"}, "answer": {"0": "c", "1": "d"}},
        {"question": ["a", "b"], "answer": ["c", "d"]},
        {"0": {"question": "a", "answer": "c"}, "1": {"question": "b", "answer": "d"}},
        {"columns": ["question", "answer"], "index": [0], "data": [["a", "c"]]},
    ],
    ids=["columns of pandas", "lists", "rows by their names", "names apart from cells"],
)
def test_a_table_that_is_no_list_of_rows_is_told_as_such(table: dict[str, Any], tmp_path: Path) -> None:
    said = refusal(tmp_path, json.dumps(table), "t.json")

    assert "not a list of rows" in said
    assert 'orient="records"' in said


def test_a_number_without_end_is_no_answer(tmp_path: Path) -> None:
    assert "answer inf is not text" in refusal(tmp_path, '{"question": "q", "answer": 1e999}')
