from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import (
    AccessDenied,
    BadListing,
    HubBusy,
    HubError,
    HubUnreachable,
    ModelGated,
    ModelNotFound,
    RevisionNotFound,
    Stopped,
)
from qwen3ft_jupyter.hubs.listing import HUB_LABELS, Listing, RemoteFile, Request
from qwen3ft_jupyter.hubs.names import check_paths, parse_repo_id, parse_sha256
from qwen3ft_jupyter.hubs.routes import make_hubs, make_mirrors, resolve
from qwen3ft_jupyter.settings.declared import HubName, Settings
from qwen3ft_jupyter.settings.kinds import Secret
from qwen3ft_jupyter.work import Reporter, Work

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.hubs.names import RepoId

REPO = parse_repo_id("Qwen/Qwen3-0.6B")
BOTH: tuple[HubName, HubName] = ("modelscope", "huggingface")


class Scripted:
    """A hub that answers with a listing or an error."""

    endpoint = "http://hub.example"

    def __init__(self, name: HubName, failure: Exception | None = None) -> None:
        self.name = name
        self.label = HUB_LABELS[name]
        self.failure = failure
        self.asked: list[str | None] = []

    def listing(
        self,
        repo_id: RepoId,
        revision: str | None = None,
        *,
        stop: threading.Event | None = None,  # noqa: ARG002 - the Protocol's
    ) -> Listing:
        self.asked.append(revision)
        if self.failure is not None:
            raise self.failure
        (path,) = check_paths(["config.json"])
        return Listing(repo_id, self.name, revision or "", "", (RemoteFile(path, 1, parse_sha256("f" * 64)),))

    def commit(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> str:  # noqa: ARG002 - the Protocol's
        return ""

    def file_request(self, listing: Listing, file: RemoteFile) -> Request:  # noqa: ARG002 - the Protocol's
        return Request(self.endpoint)


class Heard(Reporter):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)


def hubs_of(first: Exception | None = None, second: Exception | None = None) -> dict[HubName, Scripted]:
    return {"modelscope": Scripted("modelscope", first), "huggingface": Scripted("huggingface", second)}


def as_hubs(hubs: dict[HubName, Scripted]) -> dict[HubName, Hub]:
    return dict(hubs)


def test_the_first_hub_is_asked_and_no_other() -> None:
    hubs, heard = hubs_of(), Heard()

    assert resolve(as_hubs(hubs), BOTH, REPO, work=Work(reporter=heard)).hub == "modelscope"
    assert hubs["huggingface"].asked == []
    assert heard.notices == []


def test_the_order_decides() -> None:
    assert resolve(as_hubs(hubs_of()), ("huggingface", "modelscope"), REPO, work=Work()).hub == "huggingface"


@pytest.mark.parametrize("failure", [ModelNotFound("m."), HubUnreachable("u."), HubBusy("b.")])
def test_a_hub_that_cannot_help_passes_on_to_the_next_and_it_is_said(failure: HubError) -> None:
    heard = Heard()

    assert resolve(as_hubs(hubs_of(failure)), BOTH, REPO, work=Work(reporter=heard)).hub == "huggingface"
    assert heard.notices == [f"{failure.message} Using Hugging Face instead."]


@pytest.mark.parametrize(
    "failure", [AccessDenied("d"), ModelGated("g"), RevisionNotFound("r"), BadListing("l"), Stopped("s")]
)
def test_a_hub_that_has_the_model_but_refuses_is_believed(failure: HubError) -> None:
    hubs = hubs_of(failure)

    with pytest.raises(type(failure)):
        resolve(as_hubs(hubs), BOTH, REPO, work=Work())

    assert hubs["huggingface"].asked == []


def test_with_one_hub_in_the_order_there_is_no_other() -> None:
    hubs = hubs_of(ModelNotFound("gone"))

    with pytest.raises(ModelNotFound, match="gone"):
        resolve(as_hubs(hubs), ("modelscope",), REPO, work=Work())

    assert hubs["huggingface"].asked == []


@pytest.mark.parametrize("second", [ModelNotFound("not there."), HubUnreachable("no way."), AccessDenied("not you.")])
def test_when_both_fail_the_first_error_is_raised_and_names_both_causes(second: HubError) -> None:
    first = HubBusy("too busy.", hint="Wait.", details={"retry_after_s": "90"})

    with pytest.raises(HubBusy) as caught:
        resolve(as_hubs(hubs_of(first, second)), BOTH, REPO, work=Work())

    assert caught.value.message == f"too busy. {second.message}"
    assert (caught.value.hint, caught.value.details) == ("Wait.", {"retry_after_s": "90"})


@pytest.mark.parametrize(
    ("asked", "passed_on"), [(None, None), ("master", None), ("main", None), ("v1", "v1"), ("c" * 40, "c" * 40)]
)
def test_a_default_branch_has_the_other_hubs_name_there(asked: str | None, passed_on: str | None) -> None:
    hubs = hubs_of(ModelNotFound("gone"))
    resolve(as_hubs(hubs), BOTH, REPO, asked, work=Work())

    assert hubs["modelscope"].asked == [asked]
    assert hubs["huggingface"].asked == [passed_on]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        use_modelscope=True,
        cache_dir=tmp_path,
        shared_dirs=(),
        other_dirs=(),
        trust_copies=False,
        quota=None,
        state_dir=tmp_path,
        modelscope_endpoint="http://ms.example/",
        modelscope_token=Secret("ms-made-up"),
        hf_endpoint="http://hf.example",
        hf_token=Secret("hf-made-up"),
        offline=False,
        fallback=True,
        mirrors=(),
        mirror_tokens=None,
        max_connections=4,
        max_speed=None,
    )


def headers_of(hub: Hub) -> dict[str, str]:
    (path,) = check_paths(["config.json"])
    file = RemoteFile(path, 1, parse_sha256("f" * 64))
    return dict(hub.file_request(Listing(REPO, hub.name, "x", "", (file,)), file).headers)


def test_each_hub_has_its_own_endpoint_and_token(settings: Settings) -> None:
    hubs = make_hubs(settings)

    assert {name: hub.endpoint for name, hub in hubs.items()} == {
        "modelscope": "http://ms.example",
        "huggingface": "http://hf.example",
    }
    assert headers_of(hubs["modelscope"])["authorization"] == "Bearer ms-made-up"
    assert headers_of(hubs["huggingface"]) == {"authorization": "Bearer hf-made-up"}


def test_another_endpoint_gets_no_token(settings: Settings) -> None:
    hubs = make_hubs(settings, endpoint="http://127.0.0.1:1")

    assert {hub.endpoint for hub in hubs.values()} == {"http://127.0.0.1:1"}
    assert [headers_of(hub) for hub in hubs.values()] == [{}, {}]


def test_each_mirror_gets_its_own_token_and_no_other(settings: Settings) -> None:
    tokens = Secret("10.0.0.5:8900=lan-made-up 10.0.0.5=another")
    addresses = ("http://10.0.0.5:8900", "https://mirror.example/hf", "https://10.0.0.5")
    mirrors = make_mirrors(dataclasses.replace(settings, mirrors=addresses, mirror_tokens=tokens))

    assert [mirror.label for mirror in mirrors] == [
        "mirror 10.0.0.5:8900",
        "mirror mirror.example",
        "mirror 10.0.0.5",
    ]
    assert [headers_of(mirror) for mirror in mirrors] == [
        {"authorization": "Bearer lan-made-up"},
        {},
        {"authorization": "Bearer another"},
    ]
    assert {mirror.name for mirror in mirrors} == {"huggingface"}


def test_no_mirrors_are_none(settings: Settings) -> None:
    assert make_mirrors(settings) == ()


def test_both_causes_are_said_in_the_readers_language() -> None:
    first, second = (HubUnreachable("{host} refuses connections.", host=host) for host in ("a.example", "b.example"))

    with pytest.raises(HubUnreachable) as caught:
        resolve(as_hubs(hubs_of(first, second)), BOTH, REPO, work=Work())

    assert caught.value.to_dict("zh")["message"] == "a.example 拒绝连接。b.example 拒绝连接。"
