"""Whether a repo is there, who may see it, and what it holds: asked without the hub's client, so that a server may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwen3ft_jupyter.hubs.listing import at
from qwen3ft_jupyter.hubs.names import parse_sha256
from qwen3ft_jupyter.upload.plan import Standing

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from qwen3ft_jupyter.hubs.http import Answer, HttpClient
    from qwen3ft_jupyter.upload.refusals import Place

_PUBLIC, _INTERNAL, _PRIVATE = 5, 3, 1
"""ModelScope's numbers for who may see a repo."""


def look(client: HttpClient, place: Place, stop: threading.Event | None = None) -> Standing | None:
    """Return the repo as it is; None: there is none that the token may see.

    Raises:
        HubError: The hub refuses, or cannot be reached.
        Stopped: `stop` was set.
    """
    if place.hub == "modelscope":
        return _look_at_modelscope(client, place, stop)
    return _look_at_huggingface(client, place, stop)


def _look_at_huggingface(client: HttpClient, place: Place, stop: threading.Event | None) -> Standing | None:
    url = f"{place.endpoint}/api/models/{place.repo_id}?blobs=true"
    answer = client.get(url, headers=place.token.headers(), stop=stop)
    if answer.status == 404:
        return None
    about, is_private = _body(place, answer), None
    if isinstance(given := at(about, "private"), bool):
        is_private = given
    files = ((at(one, "rfilename"), at(one, "lfs", "sha256")) for one in _rows(at(about, "siblings")))
    return Standing(is_private, _digests(files), str(at(about, "sha") or ""))


def _look_at_modelscope(client: HttpClient, place: Place, stop: threading.Event | None) -> Standing | None:
    url, headers = f"{place.endpoint}/api/v1/models/{place.repo_id}", place.token.headers(with_cookie=True)
    answer = client.get(url, headers=headers, stop=stop)
    if answer.status == 404:
        return None
    visibility = at(_body(place, answer), "Data", "Visibility")
    known = {_PUBLIC: False, _INTERNAL: False, _PRIVATE: True}
    is_private = known.get(visibility) if isinstance(visibility, int) else None
    answer = client.get(f"{url}/repo/files?Recursive=True&Revision=master", headers=headers, stop=stop)
    if answer.status == 404:  # it has no branch yet
        return Standing(is_private, {})
    rows = _rows(at(_body(place, answer), "Data", "Files"))
    return Standing(is_private, _digests((at(one, "Path"), at(one, "Sha256")) for one in rows))


def _body(place: Place, answer: Answer) -> object:
    if answer.status != 200:
        raise place.refused(answer.status, answer.headers, answer.body)
    return answer.json()


def _rows(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _digests(files: Iterator[tuple[object, object]]) -> dict[str, str | None]:
    return {str(path): parse_sha256(str(digest)) for path, digest in files if path}
