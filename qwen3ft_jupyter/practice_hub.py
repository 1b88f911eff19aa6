"""Whom a model is asked of: the configured hubs, or for the practice model one of our own, on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from qwen3ft_jupyter.hubs import make_hubs
from qwen3ft_jupyter.practice import PRACTICE_REPO_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qwen3ft_jupyter.hubs import Hub, RepoId
    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.settings import HubName, Settings
    from qwen3ft_jupyter.work import Work


@contextlib.contextmanager
def hubs_for(
    settings: Settings,
    repo_id: RepoId,
    *,
    client: HttpClient,
    is_missing: bool,
    work: Work,
) -> Iterator[Mapping[HubName, Hub]]:
    """Yield the hubs to ask for `repo_id` by means of `client`.

    The practice model is never asked of a real hub: whoever registers its name there would supply it. If it
    `is_missing` it is made before anything is yielded, so that the making does not count as part of the download.
    """
    if repo_id != PRACTICE_REPO_ID:
        yield make_hubs(settings, client=client)
        return
    from qwen3ft_jupyter.mirror import Mirror
    from qwen3ft_jupyter.practice import make_practice

    with contextlib.ExitStack() as stack:

        def start() -> dict[HubName, Hub]:
            practice = make_practice(settings.state_dir / "practice", reporter=work.reporter, stop=work.stop)
            mirror = stack.enter_context(Mirror({PRACTICE_REPO_ID: practice.folder}))
            return make_hubs(settings, endpoint=mirror.url, client=client)

        yield start() if is_missing else _OnDemand(start)


class _OnDemand(Mapping["HubName", "Hub"]):
    """Hubs that are started when the first of them is asked for: a cached model asks none."""

    def __init__(self, start: Callable[[], dict[HubName, Hub]]) -> None:
        self._start = start
        self._hubs: dict[HubName, Hub] | None = None

    def _all(self) -> dict[HubName, Hub]:
        if self._hubs is None:
            self._hubs = self._start()
        return self._hubs

    def __getitem__(self, name: HubName) -> Hub:
        return self._all()[name]

    def __iter__(self) -> Iterator[HubName]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
