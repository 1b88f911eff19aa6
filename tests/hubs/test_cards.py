"""Cards of models: front matter is read and never shown, and what is too long ends."""

from __future__ import annotations

import pytest

from qwen3ft_jupyter.hubs.cards import MAX_FRONT_MATTER, MAX_SHOWN_BYTES, read_card, shown_card


@pytest.mark.parametrize(
    ("text", "license_", "below"),
    [
        ("---\nlicense: apache-2.0\n---\n\n# Qwen3\n", "apache-2.0", "# Qwen3\n"),
        ("\ufeff---\r\nlicense: mit\r\n---\r\n# Qwen3", "mit", "# Qwen3"),
        ("---\nlicense: other\nlicense_name: qwen\n---\n# Qwen3", "qwen", "# Qwen3"),
        ("---\ntitle: a---b\nlicense: mit\n---\ntext\n---\nmore", "mit", "text\n---\nmore"),
        ("---\nlicense: mit\n---", "mit", ""),
        ("# Qwen3\n\n---\nlicense: mit\n---\n", "", "# Qwen3\n\n---\nlicense: mit\n---\n"),
        ("---\n[a: b\n---\n# Qwen3", "", "# Qwen3"),
        ("---\nlicense: [mit, gpl]\n---\n# Qwen3", "", "# Qwen3"),
        ("---\n- a\n---\n# Qwen3", "", "# Qwen3"),
        ("", "", ""),
    ],
)
def test_front_matter_is_read_and_not_part_of_the_text(text: str, license_: str, below: str) -> None:
    card = read_card(text)

    assert (card.license, card.text) == (license_, below)


@pytest.mark.parametrize(
    "value",
    [
        '!!int ""',
        "!!bool x",
        "!!timestamp x",
        "!!timestamp 2001-02-30",
        '!!float ""',
        "!!bool {=: x}",
        f"{'1:' * 300}1.5",
        '"\\UFFFFFFFF"',
        "[" * 5000,
    ],
    ids=lambda value: value[:16],
)
def test_front_matter_whose_values_are_none_is_left_out_and_the_text_is_read(value: str) -> None:
    card = read_card(f"---\nlicense: mit\na: {value}\n---\n# Qwen3")

    assert (card.front, card.text) == ({}, "# Qwen3")


def test_a_long_card_is_cut_and_says_so() -> None:
    card = shown_card(b"---\nlicense: mit\n---\n" + "模型".encode() * MAX_SHOWN_BYTES)

    assert card.license == "mit"
    assert len(card.text.encode()) < MAX_SHOWN_BYTES + 100
    assert card.text.endswith("\n\n[...]\n")


def test_endless_front_matter_is_neither_parsed_nor_shown() -> None:
    card = shown_card(b"---\nlicense: mit\nx: [" + b"1, " * MAX_FRONT_MATTER + b"]\n---\n# Qwen3")

    assert (card.license, card.text) == ("", "# Qwen3")
