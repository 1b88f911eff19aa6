from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pytest_jupyter.jupyter_server import *  # noqa: F403 - here, not for all tests: its fixtures start a server for each
from tornado.httpclient import HTTPClientError

from qwen3ft_jupyter.server.app import Qwen3FTApp
from tests.server.asking import Answer, Ask, schema_for, template_of
from tests.server.standin import StandInManager

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """A server tells its kernels of itself through its environment, which is that of all tests."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def manager(tmp_path: Path) -> StandInManager:
    (tmp_path / "state").mkdir()
    (tmp_path / "cache").mkdir()
    return StandInManager(tmp_path)


@pytest.fixture
def jp_server_config(manager: StandInManager, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(Qwen3FTApp, "build_manager", lambda _: manager)
    # Terminals leave one socket without an authentication decorator, which is a warning, which is an error here.
    extensions = {"qwen3ft_jupyter": True, "jupyter_server_terminals": False}
    return {"ServerApp": {"jpserver_extensions": extensions, "allow_unauthenticated_access": False}}


@pytest.fixture
def app(jp_serverapp: Any) -> Qwen3FTApp:
    found = next(iter(jp_serverapp.extension_manager.extension_apps["qwen3ft_jupyter"]))
    assert isinstance(found, Qwen3FTApp)
    return found


@pytest.fixture
def ask(jp_serverapp: Any, http_server_client: Any, jp_base_url: str, jp_auth_header: dict[str, str]) -> Ask:
    """Send a request, path as it goes over the wire, and check the answer against `openapi.yaml`."""

    async def send(
        verb: str,
        path: str,
        *,
        body: bytes | str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        is_checked: bool = True,
    ) -> Answer:
        url = f"{jp_base_url}qwen3ft{path}" + (f"?{query}" if query else "")
        try:
            response = await http_server_client.fetch(
                url,
                method=verb.upper(),
                body=b"" if body is None and verb == "post" else body,
                headers=jp_auth_header if headers is None else headers,
                allow_nonstandard_methods=True,
            )
        except HTTPClientError as error:
            if error.response is None:
                raise
            response = error.response
        answer = Answer(response.code, response.headers, response.body)
        if is_checked:
            schema = schema_for(template_of(path), verb, answer.code)
            if schema is None:
                assert answer.body == b""
            else:
                Draft202012Validator(schema).validate(answer.json)
        return answer

    return send
