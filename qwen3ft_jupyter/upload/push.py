"""An upload from beginning to end: look, make the repo if need be, send what is not there, commit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen3ft_jupyter.upload.look import look
from qwen3ft_jupyter.upload.plan import PushResult, Standing, find_exposure
from qwen3ft_jupyter.work import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.upload.plan import Item
    from qwen3ft_jupyter.upload.refusals import Place
    from qwen3ft_jupyter.upload.shelf import Shelf
    from qwen3ft_jupyter.work import Work


def open_shelf(place: Place, licence: str) -> Shelf:
    """Return a repo of the hub that `place` names.

    Args:
        place: The repo.
        licence: What a new repo is said to be under, where a hub asks for it; "" if that is not known.

    Raises:
        MissingPackage: The hub's client is not installed.
    """
    if place.hub == "modelscope":
        from qwen3ft_jupyter.upload.modelscope import ModelScopeShelf

        return ModelScopeShelf(place, licence)
    from qwen3ft_jupyter.upload.huggingface import HuggingFaceShelf

    return HuggingFaceShelf(place)


def push(shelf: Shelf, client: HttpClient, files: Sequence[Item], work: Work, *, is_private: bool) -> PushResult:
    """Upload files, and return what it came to; `client` asks what is there.

    Raises:
        BadInput: They are to be private, and the repo is not.
        HubError, TransferError, BadName: The hub refuses, cannot be reached, or a file cannot be read; what has arrived
            is not sent again the next time.
        Stopped: Somebody stopped the work.
    """
    began, place = time.monotonic(), shelf.place
    work.progress(Progress("resolving"))
    standing = look(client, place, work.stop)
    if standing is None:
        shelf.create(is_private=is_private)
        # one that somebody else made at the same moment is what it is
        standing = look(client, place, work.stop) or Standing(is_private, {})
    exposure = find_exposure(standing, place.repo_id, place.label, is_private=is_private)
    if exposure is not None:
        raise exposure
    if standing.is_private and not is_private:
        work.notice("{repo_id} is private, and stays so: that is changed on its page.", repo_id=place.repo_id)
    commit, sent = shelf.put(files, standing, work)
    size, seconds = sum(file.size for file in files), time.monotonic() - began
    return PushResult(place.hub, place.repo_id, place.page, commit, len(files), size, sent, seconds)
