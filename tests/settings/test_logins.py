from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
from modelscope_hub.config import HubConfig

from qwen3ft_jupyter.settings.logins import stored_huggingface_token, stored_modelscope_token
from qwen3ft_jupyter.settings.places import load_settings


def test_a_login_of_the_modelscope_client_is_found(tmp_path: Path) -> None:
    HubConfig(endpoint="https://www.modelscope.cn", config_dir=tmp_path).save_token("ms-made-up")

    assert stored_modelscope_token("https://www.modelscope.cn", {"MODELSCOPE_HOME": str(tmp_path)}) == "ms-made-up"


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8000", "https://modelscope.cn.evil.example", "https://evil.example"]
)
def test_a_login_is_not_given_to_another_host(tmp_path: Path, endpoint: str) -> None:
    HubConfig(endpoint="https://www.modelscope.cn", config_dir=tmp_path).save_token("ms-made-up")

    assert stored_modelscope_token(endpoint, {"MODELSCOPE_HOME": str(tmp_path)}) is None


def test_an_expired_login_is_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    HubConfig(endpoint="https://www.modelscope.cn", config_dir=tmp_path).save_token("ms-made-up")
    later = time.time() + 40 * 24 * 3600
    monkeypatch.setattr("qwen3ft_jupyter.settings.logins.time.time", lambda: later)

    assert stored_modelscope_token("https://www.modelscope.cn", {"MODELSCOPE_HOME": str(tmp_path)}) is None


class _Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.mark,))


def test_a_hostile_pickle_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "cookies").write_bytes(pickle.dumps(_Hostile(mark)))

    assert stored_modelscope_token("https://www.modelscope.cn", {"MODELSCOPE_HOME": str(tmp_path)}) is None
    assert not mark.exists()


def test_garbage_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "cookies").write_bytes(b"\x80\x04garbage")

    assert stored_modelscope_token("https://www.modelscope.cn", {"MODELSCOPE_HOME": str(tmp_path)}) is None


def test_a_login_of_the_hf_client_is_found(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_made_up\n")

    assert stored_huggingface_token({"HF_HOME": str(tmp_path)}) == "hf_made_up"
    assert stored_huggingface_token({"HF_HOME": str(tmp_path / "elsewhere")}) is None


@pytest.mark.parametrize(
    "data", [b"", b" \n", b"to\nken", b"to ken", b"\0" * 100, b"\xff\xfe", "令牌".encode(), b"a\r\nX-Header: b"]
)
def test_what_no_token_can_be_is_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "token").write_bytes(data)

    assert stored_huggingface_token({"HF_HOME": str(tmp_path)}) is None


@pytest.mark.skipif(os.name == "nt", reason="pipes and permissions of POSIX")
@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to(path)], ids=["pipe", "folder", "circle"]
)
@pytest.mark.parametrize("name", ["token", "cookies"])
def test_a_login_that_cannot_be_read_is_none_and_that_can_be_seen(tmp_path: Path, name: str, make: Any) -> None:
    """A pipe that nobody writes to would keep every command waiting."""
    make(tmp_path / name)

    settings = load_settings(
        environ={"HF_HOME": str(tmp_path), "MODELSCOPE_CREDENTIALS_PATH": str(tmp_path)}, working_folder=tmp_path
    )

    field, client = {"token": ("hf_token", "hf"), "cookies": ("modelscope_token", "modelscope")}[name]
    assert getattr(settings, field) is None
    assert settings.origins[field].startswith(f"login of the {client} client: cannot be read (")


@pytest.mark.skipif(os.name == "nt", reason="symlinks need rights on Windows")
def test_a_token_that_is_linked_to_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hf_made_up")
    (tmp_path / "token").symlink_to("secret")

    assert stored_huggingface_token({"HF_HOME": str(tmp_path)}) == "hf_made_up"
