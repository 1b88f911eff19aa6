"""Asking the server, and checking each answer against `openapi.yaml`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml

from qwen3ft_jupyter import server
from qwen3ft_jupyter.server.app import ROUTES

OPENAPI: dict[str, Any] = yaml.safe_load((Path(server.__file__).parent / "openapi.yaml").read_text("utf-8"))


class Answer:
    """What a request got, checked against `openapi.yaml`."""

    def __init__(self, code: int, headers: Any, body: bytes) -> None:
        self.code = code
        self.headers = headers
        self.body = body
        self.json: Any = json.loads(body) if body else None


class Ask(Protocol):
    """Sends a request; see the fixture `ask`."""

    async def __call__(
        self,
        verb: str,
        path: str,
        *,
        body: bytes | str | None = None,
        query: str = "",
        headers: dict[str, str] | None = None,
        is_checked: bool = True,
    ) -> Answer: ...


def schema_for(template: str, verb: str, code: int) -> dict[str, Any] | None:
    """Return the schema that `openapi.yaml` promises for an answer, None for an empty one."""
    responses = OPENAPI["paths"][template][verb]["responses"]
    response = responses.get(str(code)) or (responses["default"] if code >= 400 else None)
    assert response is not None, f"{verb.upper()} {template} answered {code}, which openapi.yaml does not name"
    if "$ref" in response:
        response = OPENAPI["components"]["responses"][response["$ref"].rpartition("/")[2]]
    if "content" not in response:
        return None
    schema: dict[str, Any] = response["content"]["application/json"]["schema"]
    return {**schema, "components": OPENAPI["components"]}


class Route(NamedTuple):
    verb: str
    template: str
    """The path as `openapi.yaml` writes it."""
    path: str
    """An example of it."""


def every_route() -> list[Route]:
    """Return all that the code serves."""
    verbs = ("get", "post", "put", "patch", "delete")
    return [Route(verb, path, example_of(path)) for path, handler in ROUTES for verb in verbs if verb in vars(handler)]


def example_of(template: str) -> str:
    return template.replace("{slug}", "Qwen_Qwen3-0.6B").replace("{id}", "20260102-030405-download-0000")


def template_of(path: str) -> str:
    """Return which path of `openapi.yaml` a request went to."""
    parts = path.split("/")
    for template, _ in ROUTES:
        wanted = template.split("/")
        if len(wanted) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(wanted, parts, strict=True)):
            return template
    raise AssertionError(f"no route for {path}")
