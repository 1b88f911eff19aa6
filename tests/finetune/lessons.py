"""What the tiny model is taught."""

from __future__ import annotations

from typing import Any


def rows(count: int = 24) -> list[dict[str, Any]]:
    """Questions of very different lengths, several of which fit into the row of the longest, with one answer each."""
    names = ["one", "two", "three", "four"]
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {names[index % 4]}" + " and one" * (index % 5) ** 2 + "?"},
                {"role": "assistant", "content": f"The answer is {index % 4 + 1}."},
            ]
        }
        for index in range(count)
    ]


def pair_rows(count: int = 24) -> list[dict[str, Any]]:
    """Answer the same questions, and say which of two answers is the better one."""
    return [
        {
            "prompt": row["messages"][0]["content"],
            "chosen": row["messages"][1]["content"],
            "rejected": "No idea." if index % 2 == 0 else "The answer is not known to me, nor to anybody else.",
        }
        for index, row in enumerate(rows(count))
    ]
