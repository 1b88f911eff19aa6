from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.listing import Listing, RemoteFile
from qwen3ft_jupyter.hubs.modelscope import ModelScopeHub
from qwen3ft_jupyter.hubs.names import check_paths, parse_repo_id, parse_sha256
from qwen3ft_jupyter.hubs.region import Region
from tests.servers import Reply, ScriptedServer, Seen, Stall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

QUERY = "/latest/meta-data/region-id"


@pytest.fixture
def vendor(tmp_path: Path) -> Path:
    path = tmp_path / "sys_vendor"
    path.write_text("Alibaba Cloud\n", "ascii")
    return path


def ask(answer: Callable[[Seen], Reply], vendor: Path, environ: Mapping[str, str] = {}) -> tuple[str, list[Seen]]:
    with ScriptedServer(answer) as server:
        region = Region(environ, vendor_file=vendor, address=("127.0.0.1", server.port))
        region.ask()
        for thread in threading.enumerate():
            if thread.name == "qwen3ft-region":
                thread.join(120)
        return region.name, server.seen


def test_a_machine_of_the_cloud_learns_its_region(vendor: Path) -> None:
    name, seen = ask(lambda _: Reply(200, b"cn-hangzhou\n"), vendor)

    assert name == "cn-hangzhou"
    assert [request.path for request in seen] == [QUERY]


def test_a_machine_that_answers_only_with_a_token_gets_one(vendor: Path) -> None:
    def answer(request: Seen) -> Reply:
        if request.method == "PUT":
            return Reply(200, b"made-up")
        return Reply(200, b"cn-beijing") if "x-aliyun-ecs-metadata-token" in request.headers else Reply(403)

    name, seen = ask(answer, vendor)

    assert name == "cn-beijing"
    assert seen[2].headers["x-aliyun-ecs-metadata-token"] == "made-up"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404),
        Reply(200, b""),
        Reply(200, b"<html>login</html>"),
        Reply(200, b"cn-hangzhou\r\nx-evil: 1"),
        Reply(200, b"\xff" * 9),
        Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
        Reply(403, b"a\r\nb"),
    ],
)
def test_whatever_else_is_answered_names_no_region(vendor: Path, reply: Reply) -> None:
    assert ask(lambda _: reply, vendor)[0] == ""


def test_no_other_machine_is_probed(tmp_path: Path) -> None:
    (tmp_path / "sys_vendor").write_text("QEMU\n", "ascii")

    for vendor in (tmp_path / "sys_vendor", tmp_path / "missing"):
        assert ask(lambda _: Reply(200, b"cn-hangzhou"), vendor) == ("", [])


def test_the_notebooks_of_modelscope_are_in_the_cloud(tmp_path: Path) -> None:
    environ = {"MODELSCOPE_CLOUD_ENVIRONMENT": "dsw"}

    assert ask(lambda _: Reply(200, b"cn-hangzhou"), tmp_path / "missing", environ)[0] == "cn-hangzhou"


def test_the_variables_of_modelscopes_client_decide(vendor: Path) -> None:
    forced = {"MODELSCOPE_DOWNLOAD_INTRA_CLOUD_REGION": "cn-Shanghai"}
    broken = {"MODELSCOPE_DOWNLOAD_INTRA_CLOUD_REGION": "cn\r\nx: y"}
    off = {"MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "False"}

    assert ask(lambda _: Reply(200, b"cn-hangzhou"), vendor, forced) == ("cn-shanghai", [])
    assert ask(lambda _: Reply(200, b"cn-hangzhou"), vendor, broken) == ("", [])
    assert ask(lambda _: Reply(200, b"cn-hangzhou"), vendor, {**forced, **off}) == ("", [])


def test_nobody_waits_for_the_answer(vendor: Path) -> None:
    with ScriptedServer(lambda _: Reply(200, [Stall()])) as server:
        region = Region({}, vendor_file=vendor, address=("127.0.0.1", server.port))
        region.ask()
        server.wait_for(1)
        region.ask()

        assert region.name == ""
        assert len(server.seen) == 1


def test_files_are_asked_for_with_the_region_and_without_while_it_is_unknown() -> None:
    region = Region({})
    hub = ModelScopeHub(HttpClient(), "http://hub.example", region=region)
    (path,) = check_paths(["config.json"])
    file = RemoteFile(path, 1, parse_sha256("f" * 64))
    listing = Listing(parse_repo_id("Qwen/Qwen3-0.6B"), "modelscope", "master", "", (file,))
    before = hub.file_request(listing, file)
    region.name = "cn-hangzhou"

    assert before.shortcut == {}
    assert hub.file_request(listing, file).shortcut == {"x-aliyun-region-id": "cn-hangzhou"}
