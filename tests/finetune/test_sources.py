"""What `data` can name: several files with weights, names in a dataset_info.json, plain text."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from qwen3ft_jupyter.errors import BadConfig, BadData
from qwen3ft_jupyter.finetune import plaintext
from qwen3ft_jupyter.finetune.config import FineTuneConfig
from qwen3ft_jupyter.finetune.data import Data, Reading, read_data_of, read_named, split
from qwen3ft_jupyter.finetune.files import DataFile
from qwen3ft_jupyter.finetune.rows import Row
from qwen3ft_jupyter.finetune.tables import rows_of

if TYPE_CHECKING:
    from pathlib import Path

U, A = "user", "assistant"


def write(folder: Path, name: str, rows: list[Any]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def questions(count: int, start: str = "q") -> list[dict[str, str]]:
    return [{"question": f"{start}{number}", "answer": "a"} for number in range(count)]


def said(data: Data) -> list[list[tuple[str, str]]]:
    return [[(turn.role, turn.content) for turn in one.messages] for one in data.conversations]


def describe(folder: Path, **entries: Any) -> None:
    (folder / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")


def config_of(data: object, **fields: Any) -> FineTuneConfig:
    return FineTuneConfig.from_dict({"model": "Qwen/Qwen3-0.6B", "data": data, **fields})


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"path": "/d/a.jsonl"}, ("/d/a.jsonl",)),
        ([{"path": "/d/a.jsonl", "weight": 2}, "/d/b.jsonl#500"], ("/d/a.jsonl#x2", "/d/b.jsonl#500")),
        ({"path": "/hf:o/n", "subset": "zh", "split": "test", "rows": 9}, ("/hf:o/n:zh:test#9",)),
        ([{"path": "/o/n", "split": "test"}, {"path": "/o/n", "subset": "zh"}], ("/o/n::test", "/o/n:zh")),
        ([{"path": "/d/a.jsonl", "rows": 7, "weight": 0.25}], ("/d/a.jsonl#7x0.25",)),
    ],
)
def test_rows_and_weight_can_be_said_in_fields_or_behind_the_path(given: Any, read: tuple[str, ...]) -> None:
    config = config_of(given)

    assert config.data == read
    assert FineTuneConfig.from_dict(config.to_dict()) == config


def test_a_list_of_sources_is_no_table_of_rows() -> None:
    assert rows_of([{"path": "a.jsonl", "weight": 2}, "b.jsonl"]) is None
    assert rows_of(table := [{"path": "a.jsonl", "question": "q", "answer": "a"}]) is table


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([{"path": "a.jsonl", "times": 2}], "times is not one of path, rows, weight"),
        ([{"path": "a.jsonl", "weight": 0}], "weight: 0 is not a number above 0"),
        ([{"path": "a.jsonl", "weight": "2"}], "weight: '2' is not a number"),
        ([{"path": "a.jsonl", "rows": 0.5}], "rows: 0.5 is not a whole number"),
        ([{"rows": 3}], "data"),
        ({"train": "a.jsonl"}, "is a group of fields (train)"),
    ],
)
def test_a_source_that_is_written_wrong_is_named(given: Any, problem: str) -> None:
    with pytest.raises(BadConfig) as caught:
        config_of(given)

    assert problem in caught.value.message


def test_a_weight_says_how_often_rows_are_seen_and_what_each_file_contributes(tmp_path: Path) -> None:
    one, other = write(tmp_path, "a.jsonl", questions(4)), write(tmp_path, "b.jsonl", questions(10, "r"))

    data = read_named([f"{one}#x2", f"{other}#8x0.5"], Reading())
    training, held_out = split(data.conversations, 0.0, seed=1)

    counts = Counter(one.messages[0].content for one in training)
    assert {counts[f"q{number}"] for number in range(4)} == {2}
    assert sum(count for name, count in counts.items() if name[0] == "r") == 4
    assert len(held_out) == 0
    assert data.report.conversations == 12
    assert "An epoch sees 12 rows: a.jsonl 8 (67 %), b.jsonl 4 (33 %)." in data.report.notices


def test_what_is_taken_of_a_file_belongs_to_the_identity_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", questions(4))

    digests = {read_named([f"{path}{share}"], Reading()).digests for share in ("", "#3", "#2", "#x2", "#2x2")}

    assert len(digests) == 5


def test_a_name_in_dataset_info_stands_for_its_file_columns_and_rows(tmp_path: Path) -> None:
    write(tmp_path, "data/own.jsonl", [{"q": "Translate.", "extra": str(n), "a": "b", "sys": "S"} for n in range(3)])
    columns = {"prompt": "q", "query": "extra", "response": "a", "system": "sys"}
    describe(tmp_path / "data", own={"file_name": "own.jsonl", "columns": columns, "num_samples": 2, "subset": "x"})

    data = read_named([str(tmp_path / "data" / "own")], Reading())

    turns = said(data)
    assert len(turns) == 2
    assert turns[0][0] == ("system", "S")
    assert turns[0][1][1].startswith("Translate.\n")
    assert turns[0][2] == (A, "b")
    assert "own: not used of dataset_info.json: subset" in data.report.notices


def test_tags_of_dataset_info_name_roles_and_parts_of_turns(tmp_path: Path) -> None:
    turns = [("kunde", "q"), ("aufruf", '{"name": "f", "arguments": {}}'), ("werkzeug", "r"), ("bot", "a")]
    write(tmp_path, "talks.jsonl", [{"dialog": [{"wer": role, "was": text} for role, text in turns], "s": "S"}])
    describe(
        tmp_path,
        talks={
            "file_name": "talks.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "dialog", "system": "s"},
            "tags": {
                "role_tag": "wer",
                "content_tag": "was",
                "user_tag": "kunde",
                "assistant_tag": "bot",
                "observation_tag": "werkzeug",
                "function_tag": "aufruf",
            },
        },
    )

    (messages,) = said(read_named([str(tmp_path / "talks")], Reading()))

    assert messages == [("system", "S"), (U, "q"), (A, ""), ("tool", "r"), (A, "a")]


def test_an_entry_without_columns_is_read_as_any_file(tmp_path: Path) -> None:
    write(tmp_path, "alpaca.json", [])
    (tmp_path / "alpaca.json").write_text(json.dumps([{"instruction": "q", "input": "", "output": "a"}]))
    describe(tmp_path, alpaca={"file_name": "alpaca.json"})

    assert said(read_named([str(tmp_path / "alpaca")], Reading())) == [[(U, "q"), (A, "a")]]


def test_a_config_of_llama_factory_finds_its_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (tmp_path / "data", tmp_path / "sets"):
        for name in ("one", "two"):
            write(folder, f"{name}.jsonl", questions(2, f"{folder.name}-{name}-"))
        describe(folder, **{name: {"file_name": f"{name}.jsonl"} for name in ("one", "two")})
    monkeypatch.chdir(tmp_path)
    base = {"model_name_or_path": "Qwen/Qwen3-0.6B"}

    usual = FineTuneConfig.from_dict({**base, "dataset": "one,two"})
    told = FineTuneConfig.from_dict({**base, "dataset": "one, two", "dataset_dir": "sets"})

    assert [turns[0][1] for turns in said(read_data_of(usual))] == [
        f"data-{n}-{i}" for n in ("one", "two") for i in "01"
    ]
    assert [turns[0][1] for turns in said(read_data_of(told))] == [
        f"sets-{n}-{i}" for n in ("one", "two") for i in "01"
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"file_name": "a.jsonl", "columns": {"images": "i"}}, "images: only text can be learned"),
        ({"file_name": "a.jsonl", "columns": {"kto_tag": "label"}}, "kto_tag: KTO does not exist here"),
        ({"file_name": "a.jsonl", "formatting": "kto"}, "formatting 'kto' is not one of alpaca, sharegpt, openai"),
        ({"file_name": "a.jsonl", "columns": {"prompt": "q"}}, "columns names no response"),
        ({"file_name": "a.jsonl", "columns": {"question": "q"}}, "columns: question is not one of prompt, query"),
        ({"file_name": "a.jsonl", "tags": {"human": "q"}}, "tags: human is not one of"),
        ({"file_name": "a.jsonl", "columns": "q"}, "columns is not a group of names"),
        (
            {"file_name": "a.jsonl", "ranking": True},
            "ranking: true is preference data; objective: dpo and orpo learn from it",
        ),
        ({"script_url": "x"}, "script_url is not read here"),
        ({"hf_hub_url": "org/set"}, "own stands for org/set, a data set on a hub"),
        ([], "it is not a group of fields"),
        ({"file_name": "none.jsonl"}, "none.jsonl does not exist"),
    ],
)
def test_what_an_entry_says_and_we_cannot_do_is_named(tmp_path: Path, entry: Any, problem: str) -> None:
    write(tmp_path, "a.jsonl", questions(1))
    describe(tmp_path, own=entry)

    with pytest.raises(BadData) as caught:
        read_named([str(tmp_path / "own")], Reading())

    assert problem in caught.value.message


def test_a_name_that_dataset_info_lacks_is_named_with_one_that_comes_near(tmp_path: Path) -> None:
    describe(tmp_path, alpaca_zh={"file_name": "a.json"})

    with pytest.raises(BadData, match=r"alpaca_zn does not exist, and dataset_info\.json does not know it") as caught:
        read_named([str(tmp_path / "alpaca_zn")], Reading())

    assert 'Did you mean "alpaca_zh"?' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "is not a group of data sets"),
        ("{", "is not JSON"),
        ('{"own": {"file_name": "a.json"}, "own": {"file_name": "b.json"}}', "'own' stands twice in one object"),
    ],
)
def test_a_dataset_info_that_is_none_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "dataset_info.json").write_text(text)

    with pytest.raises(BadData, match=problem):
        read_named([str(tmp_path / "own")], Reading())


def test_plain_text_is_one_row_a_file_and_a_long_one_is_cut_between_paragraphs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plaintext, "LONGEST_TEXT", 20)
    monkeypatch.setattr(plaintext, "SLACK", 30)
    paragraphs = [
        "第一段。\n还是第一段。\n\n",
        "Second.\nSecond, too: long enough.\n \n",
        "x" * 60 + "\n",
        "The end.\n",
    ]
    (tmp_path / "a.txt").write_text("".join(paragraphs), encoding="utf-8")
    file = DataFile(tmp_path / "a.txt")

    rows = [row for row in file.rows() if isinstance(row, Row)]

    assert "".join(str(row.columns["text"]) for row in rows) == "".join(paragraphs)
    assert [row.columns["text"] for row in rows[-2:]] == paragraphs[-2:]
    with file.reading() as read:
        assert [read(row.offset, row.length) for row in rows] == [row.columns for row in rows]


def test_plain_text_has_no_answers(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once upon a time.")

    with pytest.raises(BadData, match=r"a\.txt is plain text, which has no questions and answers"):
        read_named([str(tmp_path / "a.txt")], Reading())


def test_plain_text_and_its_columns_in_dataset_info_are_learned_by_pretraining(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Once upon a time.", encoding="utf-8")
    write(tmp_path, "b.jsonl", [{"story": "There was", "id": 1}])
    describe(tmp_path, stories={"file_name": "b.jsonl", "columns": {"prompt": "story"}})

    data = read_named([str(tmp_path / name) for name in ("a.txt", "stories")], Reading(objective="pretrain"))

    assert said(data) == [[(A, "Once upon a time.")], [(A, "There was")]]


@pytest.mark.parametrize("formatting", ["alpaca", "sharegpt"])
def test_ranked_sets_of_dataset_info_are_preference_data(tmp_path: Path, formatting: str) -> None:
    turn = {"from": "human", "value": "q"}
    asked: dict[str, Any] = {"frage": "q"} if formatting == "alpaca" else {"talk": [turn]}
    answers = {name: name if formatting == "alpaca" else {"from": "gpt", "value": name} for name in ("good", "bad")}
    write(tmp_path, "pairs.jsonl", [{**asked, **answers}])
    columns = {
        "prompt" if formatting == "alpaca" else "messages": next(iter(asked)),
        "chosen": "good",
        "rejected": "bad",
    }
    describe(
        tmp_path,
        pairs={"file_name": "pairs.jsonl", "formatting": formatting, "ranking": True, "columns": columns},
    )

    (pair,) = read_named([str(tmp_path / "pairs")], Reading(objective="dpo")).conversations

    assert [(turn.role, turn.content) for turn in pair.messages] == [(U, "q"), (A, "good")]
    assert pair.rejected is not None
    assert pair.rejected.content == "bad"


@pytest.mark.parametrize(
    ("name", "start", "cure"),
    [
        ("t.xlsm", b"PK\x03\x04", "save the table as CSV UTF-8"),
        ("t.xlsx", b"PK\x03\x04", "save the table as CSV UTF-8"),
        ("t.xlsx", b"question,answer", "not a workbook of Excel"),
        ("t.jsonl.gz", b"\x1f\x8b", "unpack it"),
        ("t.pq", b"PAR1", "give it the ending .parquet"),
        ("t.docx", b"{}", "files of this type are not read"),
    ],
)
def test_a_file_that_is_not_read_is_named_with_the_cure(tmp_path: Path, name: str, start: bytes, cure: str) -> None:
    (tmp_path / name).write_bytes(start + b"rest")

    with pytest.raises(BadData) as caught:
        read_named([str(tmp_path / name)], Reading())

    assert cure in caught.value.message
