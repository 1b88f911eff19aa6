"""Who may ask what. Every claim is checked for every route there is, so that a new one cannot be forgotten."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_server.auth import Authorizer
from tornado.httpclient import HTTPClientError

from qwen3ft_jupyter.server.app import ROUTES
from qwen3ft_jupyter.server.base import Qwen3FTHandler
from tests.server.asking import Route, every_route
from tests.server.standin import StandInJob

if TYPE_CHECKING:
    from tests.server.asking import Ask
    from tests.server.standin import StandInManager

EVERY_ROUTE = pytest.mark.parametrize("route", every_route(), ids=lambda route: f"{route.verb} {route.template}")
RESOURCES = {
    "/status": "status",
    "/machine": "status",
    "/models": "models",
    "/models/download": "models",
    "/models/details": "models",
    "/models/card": "models",
    "/models/name": "models",
    "/models/updates": "models",
    "/runs/report": "runs",
    "/runs/curves": "runs",
    "/runs/compare": "runs",
    "/runs/evaluate": "runs",
    "/runs/merge": "runs",
    "/runs/export": "runs",
    "/runs/push": "runs",
}
RESOURCES |= dict.fromkeys(("/finetune", "/finetune/schema", "/finetune/check"), "finetune")
RESOURCES |= dict.fromkeys(("/finetune/plan", "/finetune/preview"), "finetune")


RESOURCES |= dict.fromkeys(
    ("/datasets", *(f"/datasets/{one}" for one in ("list", "find", "pin", "verify", "repair"))), "cache"
)


class Recorder(Authorizer):
    """Notes what is asked and allows what the test says."""

    asked: list[tuple[str, str]]
    is_generous = True

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:  # noqa: ARG002
        type(self).asked.append((action, resource))
        return type(self).is_generous


@pytest.fixture
def authorizer(jp_server_config: dict[str, Any]) -> type[Recorder]:
    cls = type("FreshRecorder", (Recorder,), {"asked": []})
    jp_server_config["ServerApp"]["authorizer_class"] = cls
    return cls


@EVERY_ROUTE
async def test_without_a_token_nothing_is_answered(ask: Ask, manager: StandInManager, route: Route) -> None:
    answer = await ask(route.verb, route.path, headers={})

    assert answer.code == 403
    assert answer.json["code"] == "forbidden"
    assert manager.asked_by_clients == []


@EVERY_ROUTE
async def test_a_user_who_is_not_authorized_gets_403(
    authorizer: type[Recorder], ask: Ask, manager: StandInManager, route: Route
) -> None:
    authorizer.is_generous = False

    answer = await ask(route.verb, route.path)

    assert answer.code == 403
    assert manager.asked_by_clients == []


@EVERY_ROUTE
async def test_each_route_asks_for_its_own_resource(
    authorizer: type[Recorder], ask: Ask, manager: StandInManager, route: Route
) -> None:
    manager.all_jobs = [StandInJob("20260102-030405-download-0000")]

    await ask(route.verb, route.path)

    subject = RESOURCES.get(route.template) or ("cache" if route.template.startswith("/models/cache") else "jobs")
    assert authorizer.asked == [("read" if route.verb == "get" else "write", f"qwen3ft_jupyter:{subject}")]


@pytest.mark.parametrize("handler", [handler for _, handler in ROUTES], ids=lambda handler: handler.__name__)
def test_no_handler_inherits_a_decorated_verb(handler: type[Qwen3FTHandler]) -> None:
    """`authorized` keeps the first resource it meets: an inherited verb would be checked for its parent's."""
    for verb in ("get", "post", "put", "patch", "delete"):
        if verb not in vars(handler):
            assert getattr(handler, verb) is getattr(Qwen3FTHandler, verb)
    assert handler.auth_resource.startswith("qwen3ft_jupyter:")


async def login_cookies(client: Any, auth_header: dict[str, str], base_url: str) -> str:
    """Follow the login link, as a browser does, and return what it sets."""
    token = auth_header["Authorization"].removeprefix("token ")
    login = await client.fetch(f"{base_url}?token={token}", follow_redirects=False)
    return "; ".join(header.partition(";")[0] for header in login.headers.get_list("Set-Cookie"))


@pytest.mark.parametrize("route", [route for route in every_route() if route.verb != "get"])
async def test_a_login_by_cookie_needs_the_xsrf_token(
    http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str, manager: StandInManager, route: Route
) -> None:
    cookies = await login_cookies(http_server_client, jp_auth_header, jp_base_url)

    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(
            f"{jp_base_url}qwen3ft{route.path}",
            method=route.verb.upper(),
            body=b"" if route.verb == "post" else None,
            headers={"Cookie": cookies},
            allow_nonstandard_methods=True,
        )

    assert "username" in cookies
    assert refused.value.code == 403
    assert manager.asked_by_clients == []


async def test_a_page_of_another_address_is_told_why_it_gets_nothing(
    http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str, manager: StandInManager
) -> None:
    cookies = await login_cookies(http_server_client, jp_auth_header, jp_base_url)

    with pytest.raises(HTTPClientError) as refused:
        await http_server_client.fetch(
            f"{jp_base_url}qwen3ft/models", headers={"Cookie": cookies, "Origin": "http://elsewhere.example"}
        )

    assert refused.value.response is not None
    said = json.loads(refused.value.response.body)
    assert (refused.value.code, said["code"]) == (404, "other-origin")
    assert "page of another address" in said["message"]
    assert "Host" in said["hint"]
    assert manager.asked_by_clients == []
