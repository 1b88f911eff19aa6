from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadData
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import check_data, read_data, split
from qwen3ft_jupyter.finetune.turns import ChatMessage

if TYPE_CHECKING:
    from pathlib import Path

TURNS = [("system", "s"), ("user", "q"), ("assistant", "a")]


def write(path: Path, rows: list[Any]) -> Path:
    text = (
        "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) if path.suffix == ".jsonl" else json.dumps(rows)
    )
    path.write_text(text, encoding="utf-8")
    return path


def turns(messages: tuple[ChatMessage, ...]) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in messages]


def messages(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


@pytest.mark.parametrize(
    ("row", "expected_format"),
    [
        (messages(*TURNS), "messages"),
        (messages(("developer", "s"), ("human", "q"), ("gpt", [{"type": "text", "text": "a"}])), "messages"),
        ({"conversations": [{"from": role, "value": text} for role, text in TURNS]}, "sharegpt"),
        (
            {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "s"},
            "sharegpt",
        ),
        ({"instruction": "q", "input": "", "output": "a", "system": "s"}, "alpaca"),
        ({"query": "q", "response": "a", "system": "s"}, "alpaca"),
    ],
)
@pytest.mark.parametrize("name", ["train.jsonl", "train.json"])
def test_each_format_is_detected_and_says_the_same(
    tmp_path: Path, row: dict[str, Any], expected_format: str, name: str
) -> None:
    found = read_data([write(tmp_path / name, [row])])

    assert turns(found.conversations[0].messages) == TURNS
    assert found.report.formats == (expected_format,)
    assert found.report.notices[0] == f"{name}: 1 rows, format {expected_format}"


def test_alpaca_joins_instruction_and_input_and_puts_history_first(tmp_path: Path) -> None:
    row = {"instruction": "Add.", "input": "1 2", "output": "3", "history": [["q1", "a1"]]}

    found = read_data([write(tmp_path / "a.json", [row])])

    assert turns(found.conversations[0].messages) == [
        ("user", "q1"),
        ("assistant", "a1"),
        ("user", "Add.\n1 2"),
        ("assistant", "3"),
    ]


def test_reasoning_is_told_from_the_answer(tmp_path: Path) -> None:
    found = read_data(
        [write(tmp_path / "a.jsonl", [messages(("user", "q"), ("assistant", "<think>\nhm\n</think>\n\na"))])]
    )

    assert found.conversations[0].messages[1] == ChatMessage("assistant", "a", "hm")


def test_a_sharegpt_function_call_becomes_a_tool_call(tmp_path: Path) -> None:
    """So that the model's own template writes it, and its tools, as it does at inference."""
    call = {"name": "f", "arguments": {"a": 1}}
    pairs = [("human", "q"), ("function_call", json.dumps(call)), ("observation", "1"), ("gpt", "a")]
    row = {"conversations": [{"from": role, "value": value} for role, value in pairs], "tools": [{"name": "f"}]}

    conversation = read_data([write(tmp_path / "a.json", [row])]).conversations[0]

    assert turns(conversation.messages)[1:3] == [("assistant", ""), ("tool", "1")]
    assert json.loads(conversation.messages[1].tool_calls) == [{"type": "function", "function": call}]
    assert json.loads(conversation.tools) == [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("text", "encoding", "notices"),
    [
        ("instruction,output\n问,答\n", "utf-8", 0),
        ("instruction,output\n问,答\n", "utf-8-sig", 0),
        ("instruction,output\r\n问,答\r\n", "gb18030", 1),
        ("instruction,output\n问,答\n", "utf-16", 1),
    ],
)
def test_a_spreadsheets_csv_is_read_in_its_encoding(tmp_path: Path, text: str, encoding: str, notices: int) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))

    found = read_data([tmp_path / "a.csv"])

    assert turns(found.conversations[0].messages) == [("user", "问"), ("assistant", "答")]
    assert len(found.report.notices) == 1 + notices


def test_messages_in_a_csv_cell_and_fields_of_megabytes_are_read(tmp_path: Path) -> None:
    cell = json.dumps([{"role": "user", "content": "x" * 200_000}, {"role": "assistant", "content": "a"}]).replace(
        '"', '""'
    )
    (tmp_path / "a.csv").write_text(f'messages\n"{cell}"\n')

    assert len(read_data([tmp_path / "a.csv"]).conversations[0].messages[0].content) == 200_000


def test_a_wrong_row_is_named_with_what_is_accepted(tmp_path: Path) -> None:
    rows = [messages(*TURNS)] * 36 + [messages(("user", "q"), ("assistant", "a"), ("bot", "b"))]

    with pytest.raises(BadData) as caught:
        read_data([write(tmp_path / "train.jsonl", rows)])

    assert caught.value.message.startswith("train.jsonl row 37: messages[2].role 'bot' is not one of system,")
    assert "assistant" in caught.value.message
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (messages(("user", "q"), ("assistant", None)), r"messages\[1\].content None is not text"),
        (messages(("user", "q"), ("system", "s")), r"messages\[1\].role is 'system', which can only be the first"),
        ({"messages": "no"}, "messages is not a list of turns"),
        ({"messages": ["no"]}, r"messages\[0\] is not an object"),
    ],
)
def test_each_mistake_has_its_words(tmp_path: Path, row: dict[str, Any], part: str) -> None:
    with pytest.raises(BadData, match=f"train.jsonl row 2: {part}"):
        read_data([write(tmp_path / "train.jsonl", [messages(*TURNS), row])])


def test_many_wrong_rows_are_counted_and_can_be_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [messages(*TURNS)] + [messages(("bot", "b"))] * 9)

    with pytest.raises(BadData, match=r"\(rows 2, 3, 4 and 6 more\)"):
        read_data([path])
    found = read_data([path], skip_bad_rows=True)

    assert (found.report.bad, found.report.conversations) == (9, 1)
    assert "9 rows left out" in found.report.notices[1]
    assert found.report.notices[1].endswith("(rows 2, 3, 4 and 6 more)")


def test_what_is_wrong_with_many_rows_is_told_once_with_the_first_of_them(tmp_path: Path) -> None:
    """Whatever each says; the same in another file, and something else, are told beside it."""
    one, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [json.dumps(messages(("user", "q"), (role, "a"))) for role in ("bot", "cat", "bot")]
    one.write_text("\n".join([*lines[:2], "{", "[1]", lines[2]]), "utf-8")
    other.write_text(lines[0], "utf-8")

    with pytest.raises(BadData) as caught:
        read_data([one, other])

    told = caught.value.message
    assert told.count("is not one of system") == 2
    assert "a.jsonl row 1: messages[1].role 'bot'" in told
    assert "(rows 1, 2, 5)" in told
    assert "a.jsonl row 3 is not JSON" in told
    assert "a.jsonl row 4 is not an object" in told
    assert "b.jsonl row 1: messages[1].role 'bot'" in told


def test_other_kinds_of_wrong_rows_than_are_quoted_are_counted(tmp_path: Path) -> None:
    kinds: list[Any] = [1, [1], {"messages": 1}, {"messages": [1]}, {"messages": [{"role": "x", "content": "y"}]}]
    path = write(tmp_path / "a.jsonl", [messages(*TURNS), *kinds])
    path.write_text(path.read_text("utf-8") + "\n{\n{", "utf-8")

    with pytest.raises(BadData, match="and 2 more rows"):
        read_data([path])


def test_empty_answers_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [
        messages(("user", "q"), ("assistant", " ")),
        messages(
            ("user", "q"), ("assistant", "a"), ("user", "r"), ("assistant", ""), ("user", "s"), ("assistant", "b")
        ),
        messages(("assistant", "hello"), ("user", "q"), ("assistant", "a"), ("user", "left open")),
        {"messages": [{"role": "user", "content": "q"}]},
    ]

    found = read_data([write(tmp_path / "a.jsonl", rows)])

    assert found.report.empty == 2
    assert [turns(one.messages) for one in found.conversations] == [
        [("user", "q"), ("assistant", "a"), ("user", "s"), ("assistant", "b")],
        [("user", "q"), ("assistant", "a")],
    ]


def test_nothing_to_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"No row of a.jsonl can be learned from \(1 rows read\)"):
        read_data([write(tmp_path / "a.jsonl", [messages(("user", "q"), ("assistant", ""))])])


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.jsonl", b"", "holds no rows"),
        ("a.json", b"[]", "holds no rows"),
        ("a.json", b"[1]", "row 1 is not an object"),
        ("a.json", b"{", "is not JSON"),
        ("a.json", b"[" * 100_000, "is not JSON"),
        ("a.jsonl", b'{"text": "x"}', "its columns are text"),
        ("a.jsonl", b'{"instruction": "q", "output": "a"}\n{', "row 2 is not JSON"),
        ("a.jsonl", b"\xff\xff\xff\x00\xff", "neither UTF-8 nor gb18030"),
        ("a.pkl", b"x", "not read"),
        ("missing.json", None, "does not exist"),
    ],
)
def test_a_file_that_is_no_data_is_named(tmp_path: Path, name: str, content: bytes | None, part: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(BadData, match=f"{name}.*{part}"):
        read_data([tmp_path / name])


def test_a_line_separator_inside_a_string_does_not_split_the_row(tmp_path: Path) -> None:
    found = read_data([write(tmp_path / "a.jsonl", [messages(("user", "q\u2028r\x85"), ("assistant", "a"))])])

    assert found.conversations[0].messages[0].content == "q\u2028r\x85"


def test_several_files_of_different_formats_make_one_set(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a.jsonl", [messages(*TURNS)]),
        write(tmp_path / "b.json", [{"instruction": "q", "output": "a"}]),
    ]
    config = FineTuneConfig.from_dict({"model": "Qwen/Qwen3-0.6B", "data": [str(path) for path in paths]})

    report = check_data(config)

    assert (report.conversations, report.formats) == (2, ("messages", "alpaca"))


def test_the_split_depends_on_rows_and_seed_alone(tmp_path: Path) -> None:
    rows = [messages(("user", str(number)), ("assistant", "a")) for number in range(40)]
    conversations = read_data([write(tmp_path / "a.jsonl", rows)]).conversations

    train, held_out = split(conversations, 0.1, seed=1)

    assert (len(train), len(held_out)) == (36, 4)
    assert [list(side) for side in split(conversations, 0.1, seed=1)] == [list(train), list(held_out)]
    assert list(split(conversations, 0.1, seed=2)[1]) != list(held_out)
    assert sorted(map(str, [*train, *held_out])) == sorted(map(str, conversations))
    assert [list(side) for side in split(conversations, 0.0, seed=1)] == [list(conversations), []]
    assert len(split(conversations[:2], 0.001, seed=1)[1]) == 1


def test_the_digest_is_that_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    """So that a job need not read the files a second time to know which data it learned from."""
    paths = [write(tmp_path / name, [messages(*TURNS)]) for name in ("a.json", "b.jsonl")]

    digests = read_data(paths).digests

    assert digests == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
