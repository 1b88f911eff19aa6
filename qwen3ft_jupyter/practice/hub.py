"""Whom a model is asked of: the configured hubs, or for the practice model one of our own, on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from qwen3ft_jupyter.catalog import PRACTICE_REPO_ID
from qwen3ft_jupyter.hubs.routes import make_hubs
from qwen3ft_jupyter.practice.model import MODEL_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.settings.declared import HubName, Settings


@contextlib.contextmanager
def hubs_for(settings: Settings, repo_id: RepoId, *, client: HttpClient) -> Iterator[Mapping[HubName, Hub]]:
    """Yield the hubs to ask for `repo_id` by means of `client`.

    The practice model is never asked of a real hub: whoever registers its name there would supply it.
    """
    if repo_id != PRACTICE_REPO_ID:
        yield make_hubs(settings, client=client)
        return
    with contextlib.ExitStack() as stack:
        yield _PracticeHubs(settings, client, stack)


class _PracticeHubs(Mapping["HubName", "Hub"]):
    """Hubs that are started when the first of them is asked for: a cached model asks none."""

    def __init__(self, settings: Settings, client: HttpClient, stack: contextlib.ExitStack) -> None:
        self._settings = settings
        self._client = client
        self._stack = stack

    @cached_property
    def _hubs(self) -> dict[HubName, Hub]:
        from qwen3ft_jupyter.mirror.mirror import Mirror

        mirror = self._stack.enter_context(Mirror({PRACTICE_REPO_ID: MODEL_FOLDER}))
        return make_hubs(self._settings, endpoint=mirror.url, client=self._client)

    def __getitem__(self, name: HubName) -> Hub:
        return self._hubs[name]

    def __iter__(self) -> Iterator[HubName]:
        return iter(self._hubs)

    def __len__(self) -> int:
        return len(self._hubs)
