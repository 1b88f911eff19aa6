from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

import pytest

from qwen3ft_jupyter.errors import HubUnreachable, ModelNotFound, RevisionNotFound, SourceFailed, Stopped
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.huggingface import HuggingFaceHub
from qwen3ft_jupyter.transfer.sources import MIN_SHARED_BYTES, LateSource, gather_sources
from qwen3ft_jupyter.work import Work
from tests.lived import Lived
from tests.servers import Reply, ScriptedServer, Stall
from tests.transfer.origin import COMMIT, REPO, Origin, Recorder, bytes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.hubs.listing import Hub, Listing
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.transfer.source import Source
    from qwen3ft_jupyter.work import Reporter

FILES = {"model.safetensors": bytes_of(5000, 1), "README.md": b"of ModelScope"}
BOTH: tuple[HubName, HubName] = ("modelscope", "huggingface")
LARGE = MIN_SHARED_BYTES


class Asked(Origin):
    """A hub that notes under which revisions it was asked, and answers when it may."""

    def __init__(self, files: dict[str, bytes], name: HubName = "huggingface", label: str = "") -> None:
        super().__init__(files, name=name)
        self.label = label or self.label
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.revisions: list[str | None] = []
        self.unknown: set[str] = set()

    def listing(self, repo_id: RepoId, revision: str | None = None, *, stop: threading.Event | None = None) -> Listing:
        self.revisions.append(revision)
        assert self.may_answer.wait(120)
        if revision in self.unknown:
            raise RevisionNotFound(f"no {revision}")
        return super().listing(repo_id, revision, stop=stop)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(idle_timeout_s=5.0)
    yield client
    client.close()


@pytest.fixture
def first() -> Iterator[Origin]:
    with Origin(FILES) as origin:
        yield origin


@pytest.fixture
def other() -> Iterator[Asked]:
    with Asked({**FILES, "README.md": b"of Hugging Face"}) as origin:
        yield origin


def gather(
    client: HttpClient,
    first: Origin,
    *others: Origin,
    mirrors: Sequence[Hub] = (),
    order: Sequence[HubName] = BOTH,
    wanted: Sequence[str] | None = None,
    size: int = LARGE,
    revision: str | None = None,
    reporter: Reporter | None = None,
    stop: threading.Event | None = None,
) -> AbstractContextManager[list[Source]]:
    return gather_sources(
        first.listing(REPO, revision),
        hubs={hub.name: hub for hub in (first, *others)},
        order=order,
        mirrors=mirrors,
        client=client,
        wanted=wanted,
        bytes_to_fetch=size,
        work=Work(reporter=reporter or Recorder(), stop=stop or threading.Event()),
    )


def names(sources: Sequence[Source]) -> list[str]:
    return [source.name for source in sources]


def settled(sources: Sequence[Source]) -> Sequence[Source]:
    for source in sources:
        assert not isinstance(source, LateSource) or source.wait(120)
    return sources


def test_the_hub_that_listed_comes_first_and_others_once_they_have_answered(
    client: HttpClient, first: Origin, other: Asked
) -> None:
    other.may_answer.clear()
    model, readme = first.listing(REPO).files

    with gather(client, first, other) as sources:
        assert names(sources) == ["ModelScope", "Hugging Face"]
        assert [source.has(model) for source in sources] == [True, False]
        with pytest.raises(SourceFailed), sources[1].open(model, 0, 10, stop=threading.Event()):
            pass

        other.may_answer.set()
        settled(sources)

        assert sources[1].has(model)
        assert not sources[1].has(readme), "another file of the same name is another file"
        with sources[1].open(model, 10, 20, stop=threading.Event()) as stream:
            view = memoryview(bytearray(100))
            assert view[: stream.read_into(view)] == FILES["model.safetensors"][10:20]


def test_a_small_download_asks_no_other(client: HttpClient, first: Origin, other: Asked) -> None:
    with gather(client, first, other, size=LARGE - 1) as sources:
        assert names(sources) == ["ModelScope"]
    assert other.revisions == []


def test_a_hub_that_may_not_be_asked_is_not(client: HttpClient, first: Origin, other: Asked) -> None:
    with gather(client, first, other, order=("modelscope",)) as sources:
        assert names(sources) == ["ModelScope"]
    assert other.revisions == []


def test_one_asked_for_by_name_is_asked_however_small_the_download(
    client: HttpClient, first: Origin, other: Asked
) -> None:
    with gather(client, first, other, order=("modelscope",), wanted=["modelscope", "huggingface"], size=1) as sources:
        assert names(settled(sources)) == ["ModelScope", "Hugging Face"]
        assert sources[1].has(first.listing(REPO).files[0])


def test_sources_can_be_restricted_to_the_listing_hub(client: HttpClient, first: Origin, other: Asked) -> None:
    with gather(client, first, other, mirrors=[other], wanted=["modelscope"]) as sources:
        assert names(sources) == ["ModelScope"]


def test_where_the_listing_hub_is_not_wanted_the_others_have_answered_before_the_start(
    client: HttpClient, first: Origin, other: Asked
) -> None:
    with gather(client, first, other, wanted=["huggingface"]) as sources:
        assert names(sources) == ["Hugging Face"]
        assert sources[0].has(first.listing(REPO).files[0])


def test_a_stop_ends_the_waiting_for_them(client: HttpClient, first: Origin, other: Asked) -> None:
    other.may_answer.clear()
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()

    with pytest.raises(Stopped), gather(client, first, other, wanted=["huggingface"], stop=stop):
        pass
    other.may_answer.set()


@pytest.mark.parametrize("failure", [ModelNotFound("gone."), HubUnreachable("away."), RuntimeError("surprise")])
def test_one_that_cannot_help_is_spoken_of_only_if_it_was_named(
    client: HttpClient, first: Origin, other: Asked, failure: Exception
) -> None:
    other.error = failure
    quiet, told = Recorder(), Recorder()

    with gather(client, first, other, reporter=quiet) as sources:
        assert not settled(sources)[1].has(first.listing(REPO).files[0])
    with gather(client, first, other, reporter=told, wanted=BOTH) as sources:
        settled(sources)

    assert quiet.notices == []
    (notice,) = told.notices
    reason = failure.message if isinstance(failure, ModelNotFound | HubUnreachable) else "Hugging Face cannot be asked."
    assert notice == f"{reason} Going on without it."


def test_one_that_has_other_files_under_the_name_says_so_if_it_was_named(
    client: HttpClient, first: Origin, other: Asked
) -> None:
    other.files = {"model.safetensors": b"another model"}
    told = Recorder()

    with gather(client, first, other, reporter=told, wanted=BOTH) as sources:
        settled(sources)

    assert told.notices == ["Hugging Face has other files for Qwen/Qwen3-Test. Going on without it."]


def test_two_names_of_one_address_are_one_source(client: HttpClient, first: Origin, other: Asked) -> None:
    twin = copy.copy(first)
    twin.name = "huggingface"

    with gather(client, first, twin, mirrors=[twin, other, other]) as sources:
        assert names(sources) == ["ModelScope", "Hugging Face"]
    assert len(other.revisions) == 1


@pytest.mark.parametrize(
    ("revision", "asked"),
    [
        (None, {"hub": [None], "mirror": [COMMIT, None]}),
        ("v1", {"hub": ["v1", None], "mirror": [COMMIT, "v1", None]}),
        (COMMIT, {"hub": [None], "mirror": [COMMIT, None]}),
    ],
)
def test_a_mirror_is_asked_for_the_commit_and_the_other_hub_is_not(
    client: HttpClient, first: Origin, other: Asked, revision: str, asked: dict[str, list[str]]
) -> None:
    with Asked(FILES, label="mirror here") as mirror:
        mirror.unknown = other.unknown = {COMMIT, "v1"}
        with gather(client, first, other, mirrors=[mirror], revision=revision) as sources:
            assert names(settled(sources)) == ["ModelScope", "Hugging Face", "mirror here"]

    assert {"hub": other.revisions, "mirror": mirror.revisions} == asked


def test_the_end_of_the_download_ends_the_asking(client: HttpClient, first: Origin) -> None:
    with ScriptedServer(lambda _: Reply(200, [Stall()])) as silent:
        mirror = HuggingFaceHub(client, silent.url, is_mirror=True)
        with gather(client, first, mirrors=[mirror]) as sources:
            silent.wait_for(1)

        late = sources[1]
        assert isinstance(late, LateSource)
        with Lived() as lived:
            assert late.wait(20), "the thread ends, although the hub never answered"
        assert lived.seconds < 1.0
