"""Folders with odd names: real processes that download, list, check and delete there, and answer a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qwen3ft_jupyter.disk import read_json, write_json
from qwen3ft_jupyter.server.answers import to_json

pytestmark = pytest.mark.skipif(os.name == "nt", reason="names that Windows has not")

ROOT = Path(__file__).parents[2]
NAME = "qwen3ft/Qwen3-Practice"
NAMES = {
    "a line break": b"a\nb",
    "not UTF-8": b"\xe9t\xe9",
    "quotes": b'it\'s "q" $x `y`',
    "emoji": "模型 👩‍💻".encode(),
    "decomposed": "Müller".encode(),
    "a dash": b"-rf",
    "percent": b"%s%20{name}",
    "a backslash": b"a\\nb",
}


def run(folder: Path, environ: dict[bytes, bytes], *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "qwen3ft_jupyter", *words]
    common = {b"PATH": os.fsencode(os.environ["PATH"]), b"PYTHONPATH": os.fsencode(ROOT), b"QWEN3FT_LANG": b"en"}
    done = subprocess.run(command, env={**common, **environ}, cwd=folder, capture_output=True, check=False, timeout=120)
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize("name", NAMES.values(), ids=list(NAMES))
def test_a_folder_may_be_called_as_the_system_lets_it(tmp_path: Path, name: bytes) -> None:
    folder = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(folder)  # noqa: PTH102 - of bytes
    environ = {b"HOME": folder, b"MODEL_CACHE_DIR": folder + b"/cache", b"QWEN3FT_STATE_DIR": folder + b"/state"}

    said = run(tmp_path, environ, "download", NAME)
    assert said.returncode == 0
    assert (Path(os.fsdecode(said.stdout[:-1])) / "config.json").is_file()  # as in $(qwen3ft download …)
    assert run(tmp_path, environ, "list").returncode == 0
    (model,) = json.loads(run(tmp_path, environ, "list", "--json").stdout)
    assert model["model_name"] == NAME
    (job,) = json.loads(run(tmp_path, environ, "jobs", "--json").stdout)
    assert job["state"] == "succeeded"
    assert run(tmp_path, environ, "jobs", "log", job["id"]).returncode == 0
    assert run(tmp_path, environ, "status").returncode == 0
    assert run(tmp_path, environ, "verify", NAME).returncode == 0
    assert run(tmp_path, environ, "evict", NAME).returncode == 0


def test_a_path_that_is_not_utf_8_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"folder": os.fsdecode(b"/\xe9t\xe9/\xff")}

    write_json(tmp_path / "a.json", value)

    assert read_json(tmp_path / "a.json") == json.loads(to_json(value)) == value
    (tmp_path / "a.json").read_text("utf-8")
    to_json(value).encode("utf-8")
