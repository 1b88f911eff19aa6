"""Workbooks of Excel: the first sheet is a table like any other, rows are named as Excel numbers them."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import pytest

from qwen3ft_jupyter.errors import BadData, MissingPackage
from qwen3ft_jupyter.finetune import workbook
from qwen3ft_jupyter.finetune.data import Reading, read_named
from qwen3ft_jupyter.finetune.files import DataFile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
TABLE: list[list[object]] = [["question", "answer"], ["你是谁？", "我是小石。"], ["2 + 2", 4]]


def write_workbook(path: Path, *sheets: Sequence[Sequence[object]]) -> Path:
    """Write what Excel would, as plainly as it can be; None is an empty cell, "=…" a formula with its last value."""
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r" '
        f'Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    }
    numbers = range(1, len(sheets) + 1)
    names = "".join(f'<sheet name="Sheet{n}" sheetId="{n}" r:id="r{n}"/>' for n in numbers)
    parts["xl/workbook.xml"] = f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{names}</sheets></workbook>'
    links = "".join(
        f'<Relationship Id="r{n}" Type="{LINKS}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in numbers
    )
    parts["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{PACKAGE}/relationships">{links}</Relationships>'
    for number, rows in enumerate(sheets, 1):
        written = "".join(
            f'<row r="{r}">{"".join(cell(value, f"{chr(64 + c)}{r}") for c, value in enumerate(row, 1))}</row>'
            for r, row in enumerate(rows, 1)
        )
        parts[f"xl/worksheets/sheet{number}.xml"] = (
            f'<worksheet xmlns="{MAIN}"><sheetData>{written}</sheetData></worksheet>'
        )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, HEAD + text)
    return path


def cell(value: object, place: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
    return f'<c r="{place}"><f>1+1</f><v>{value}</v></c>'


def rows_of(path: Path) -> list[tuple[dict[str, object], str]]:
    return [(dict(row.columns), row.where) for row in DataFile(path).rows()]  # type: ignore[union-attr]


def test_a_workbook_is_learned_from_as_a_table_is(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "问答.xlsx", TABLE)

    data = read_named([str(path)], Reading())

    assert [[turn.content for turn in one.messages] for one in data.conversations] == [
        ["你是谁？", "我是小石。"],
        ["2 + 2", "4"],
    ]
    assert data.digests == (hashlib.sha256(path.read_bytes()).hexdigest(),)


def test_rows_have_the_numbers_that_excel_shows_and_empty_ones_are_none(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", [*TABLE, [None, None], ["why?", None], [None, "because"]])

    assert [(where, sorted(values)) for values, where in rows_of(path)] == [
        ("a.xlsx row 2", ["answer", "question"]),
        ("a.xlsx row 3", ["answer", "question"]),
        ("a.xlsx row 5", ["question"]),
        ("a.xlsx row 6", ["answer"]),
    ]


def test_a_row_is_read_again_by_its_place(tmp_path: Path) -> None:
    file = DataFile(write_workbook(tmp_path / "a.xlsx", TABLE))
    placed = [(row.offset, row.length) for row in file.rows()]  # type: ignore[union-attr]

    with file.reading() as read:
        assert dict(read(*placed[1])) == {"question": "2 + 2", "answer": 4}


def with_cell(folder: Path, written: str) -> tuple[Path, Path]:
    """Write a workbook; return it, and the same with a cell more."""
    plain = write_workbook(folder / "plain.xlsx", [["input", "question", "answer"], [None, "q", "a"], [1, "r", "b"]])
    path = folder / "a.xlsx"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for part in old.namelist():
            new.writestr(part, old.read(part).decode().replace('<row r="2">', f'<row r="2">{written}'))
    return plain, path


@pytest.mark.parametrize("value", ["<v></v>", "<v/>", ""])
def test_a_formula_that_gives_an_empty_text_has_been_calculated(tmp_path: Path, value: str) -> None:
    _, path = with_cell(tmp_path, f'<c r="A2" t="str"><f>IF(B2="","",B2)</f>{value}</c>')

    assert not any("hold an error" in one for one in read_named([str(path)], Reading()).report.notices)


@pytest.mark.parametrize(
    "written",
    ['<c r="A2" t="e"><v>#N/A</v></c>', '<c r="A2"><f>B2&amp;B2</f><v/></c>', '<c r="A2"><f>B2</f></c>'],
    ids=["an error", "a formula that was never calculated", "a formula without a value"],
)
def test_a_cell_whose_value_cannot_be_read_is_counted(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a cell is read as empty: its row would be learned without it, and nobody would know."""
    monkeypatch.setattr(workbook, "_BLOCK", 64)
    plain, path = with_cell(tmp_path, written)

    notices = read_named([str(path)], Reading()).report.notices

    assert any(one.startswith("a.xlsx: 1 cells hold an error of Excel") for one in notices)
    assert not any("hold an error" in one for one in read_named([str(plain)], Reading()).report.notices)


@pytest.mark.parametrize("is_first", [True, False])
def test_cells_are_counted_in_the_sheet_that_is_read_whatever_its_file_is_called(
    tmp_path: Path, *, is_first: bool
) -> None:
    plain = write_workbook(tmp_path / "plain.xlsx", [["question", "answer"], ["q", "a"]], [["x", "y"], ["1", "2"]])
    path, parts = tmp_path / "a.xlsx", {}
    with zipfile.ZipFile(plain) as old:
        parts = {part: old.read(part).decode() for part in old.namelist()}
    second = "xl/worksheets/sheet2.xml"
    parts[second] = parts[second].replace("</row></sheetData>", '<c r="C2" t="e"><v>#N/A</v></c></row></sheetData>')
    if is_first:
        book = parts["xl/workbook.xml"]
        first, *_ = sheets = [one + "/>" for one in book[book.index("<sheet ") :].split("/>") if "<sheet " in one]
        parts["xl/workbook.xml"] = book.replace(first, "").replace(sheets[1], sheets[1] + first)
    with zipfile.ZipFile(path, "w") as new:
        for part, text in parts.items():
            new.writestr(part, text)

    assert bool(workbook.count_valueless(path)) == is_first


def test_only_the_first_sheet_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    file = DataFile(write_workbook(tmp_path / "a.xlsx", TABLE, [["x"], ["y"]]))

    assert len(list(file.rows())) == 2
    assert file.notices == ["a.xlsx: the sheet 'Sheet1' is read, not 'Sheet2'; save those as files of their own"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["question", None], ["q", "a"]], "column B has cells, but no name in the first row"),
        ([["question", "answer", "answer"], ["q", "a", "b"]], "the columns 'answer' stand twice in the first line"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused(tmp_path: Path, rows: list[list[object]], words: str) -> None:
    with pytest.raises(BadData) as caught:
        list(DataFile(write_workbook(tmp_path / "a.xlsx", rows)).rows())

    assert words in caught.value.message


def test_an_empty_column_without_a_name_does_no_harm(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", [["question", None, "answer"], ["q", None, "a"]])

    assert [values for values, _ in rows_of(path)] == [{"question": "q", "answer": "a"}]


@pytest.mark.parametrize("size", [0, 40, 400])
def test_a_damaged_workbook_is_refused_with_the_cure(tmp_path: Path, size: int) -> None:
    path = write_workbook(tmp_path / "a.xlsx", TABLE)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(BadData) as caught:
        list(DataFile(path).rows())

    assert "is not a workbook of Excel" in caught.value.message
    assert "CSV UTF-8" in caught.value.message


def test_one_that_unpacks_to_too_much_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "MOST_BYTES", 1 << 20)
    path = write_workbook(tmp_path / "a.xlsx", [["question", "answer"], ["q", "a" * (1 << 20)]])

    with pytest.raises(BadData) as caught:
        list(DataFile(path).rows())

    assert path.stat().st_size < 1 << 16
    assert "unpacks to more than" in caught.value.message


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", TABLE)
    with zipfile.ZipFile(path) as archive:
        real = archive.getinfo("xl/worksheets/sheet1.xml").file_size.to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(real, (9).to_bytes(4, "little")))

    with pytest.raises(BadData):
        list(DataFile(path).rows())


def test_without_the_package_its_name_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)

    with pytest.raises(MissingPackage) as caught:
        list(DataFile(write_workbook(tmp_path / "a.xlsx", TABLE)).rows())

    assert "pip install python-calamine" in str(caught.value.hint)
