"""Runs commands with folders that cannot be looked into: `python unseen_child.py CASES`; prints a list of answers.

A case names variables, a command, and perhaps a folder that answers everything with an errno.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest import mock

from qwen3ft_jupyter import cli
from tests.played_paths import answering


def main() -> None:
    cases = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    with mock.patch.object(os, "fsync"):  # no power is cut here, and these are hundreds of downloads
        print(json.dumps([run(case) for case in cases]))  # noqa: T201


def run(case: dict[str, Any]) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    answer: dict[str, Any] = {"code": None}
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, case["environ"], clear=True))
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        if case["errno"]:
            stack.enter_context(answering(Path(case["folder"]), case["errno"]))
        try:
            answer["code"] = cli.main(case["command"])
        except BaseException:  # noqa: BLE001 - whatever it is, the test wants to know
            err.write(traceback.format_exc())
    return {**answer, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    main()
