"""What was asked for, and by what means it may be had."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwen3ft_jupyter.cache.evict import InUse, nobody_uses
from qwen3ft_jupyter.errors import HubError
from qwen3ft_jupyter.hubs.http import HttpClient
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.hubs.names import parse_repo_id
from qwen3ft_jupyter.hubs.refusals import DEFAULT_BRANCHES
from qwen3ft_jupyter.transfer.patience import DEFAULT_POLICY
from qwen3ft_jupyter.transfer.sources import check_sources
from qwen3ft_jupyter.work import Controls

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping, Sequence

    from qwen3ft_jupyter.cache.models import CachedModel
    from qwen3ft_jupyter.cache.store import ModelCache
    from qwen3ft_jupyter.hubs.listing import Hub, HubName
    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.transfer.patience import RetryPolicy

_ABBREVIATED_COMMIT = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class Wish:
    """One model at one revision; see `ensure_model` for the fields."""

    cache: ModelCache
    hubs: Mapping[HubName, Hub]
    repo_id: RepoId
    revision: str | None
    force: bool
    update: bool
    offline: bool
    in_place: bool
    order: Sequence[HubName]
    mirrors: Sequence[Hub]
    sources: Sequence[str] | None
    quota: int | None
    is_used: InUse
    max_connections: int
    client: HttpClient | None
    controls: Controls
    policy: RetryPolicy
    stop: threading.Event
    began: float
    """Unix seconds."""

    @contextlib.contextmanager
    def connecting(self) -> Iterator[HttpClient]:
        """Yield what carries bytes: what was given, with the connections it has, or one for the time of the block."""
        if self.client is not None:
            yield self.client
            return
        with contextlib.closing(HttpClient(max_connections=self.max_connections)) as client:
            yield client

    @property
    def may_have_moved(self) -> bool:
        """Whether only a hub knows which commit is meant: that of a branch or tag, or the newest one."""
        if self.offline:
            return False
        return self.update or (self.revision is not None and not _ABBREVIATED_COMMIT.fullmatch(self.revision))

    @property
    def may_use_disk(self) -> bool:
        """Whether files that are on this disk already may be used."""
        return not self.force and (self.sources is None or "disk" in self.sources)

    def cached(self) -> CachedModel | None:
        """Return the copy that is at the wanted commit by its record; a hub is asked if only that knows which it is.

        A copy that follows the branch is what is brought up to date, even where another copy has the commit already:
        whoever asks next, or asks offline, gets the one that follows the branch.
        """
        model = self.cache.find(self.repo_id, self.revision)
        if not self.may_have_moved:
            return model
        known = model or self.cache.find(self.repo_id)
        commit = self._commit(known) if known is not None else ""
        if not commit or (model is not None and model.commit != commit):
            return None
        return model or self.cache.find(self.repo_id, commit)

    def _commit(self, known: CachedModel) -> str:
        """Ask, with one request, which commit is meant; return "" if that cannot be known.

        Args:
            known: What is cached; its hub is asked, for commits differ between hubs.
        """
        name = known.hub
        if name is None or name not in self.order or not known.commit:
            return ""
        try:
            return self.hubs[name].commit(self.repo_id, self.revision, stop=self.stop)
        except HubError:  # the listing, which is asked for next, says what is wrong
            return ""


def make_wish(
    cache: ModelCache,
    repo_id: str,
    *,
    hubs: Mapping[HubName, Hub],
    order: Sequence[HubName],
    stop: threading.Event,
    revision: str | None = None,
    force: bool = False,
    update: bool = False,
    offline: bool = False,
    in_place: bool = False,
    mirrors: Sequence[Hub] = (),
    sources: Sequence[str] | None = None,
    quota: int | None = None,
    is_used: InUse = nobody_uses,
    max_connections: int = 16,
    client: HttpClient | None = None,
    controls: Controls | None = None,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> Wish:
    """Return what was asked for, checked; see `ensure_model` for the arguments.

    Raises:
        BadName, BadInput: `repo_id` is malformed, or one of `sources` is none.
    """
    name, revision = parse_repo_id(repo_id), revision or None
    wanted = check_sources(sources) if sources is not None else None
    hubs_wanted = [hub for hub in order if wanted is not None and hub in wanted]
    return Wish(
        cache,
        hubs,
        name,
        _branch(cache.find(name)) if update and revision is None else revision,
        force=force and not offline,
        update=update,
        offline=offline,
        in_place=in_place,
        order=hubs_wanted or list(order),
        mirrors=mirrors,
        sources=wanted,
        quota=quota,
        is_used=is_used,
        max_connections=max_connections,
        client=client,
        controls=controls or Controls(),
        policy=policy,
        stop=stop,
        began=time.time(),
    )


def _branch(known: CachedModel | None) -> str | None:
    """Return the branch that a cached model follows, or None for the hub's default branch."""
    revision = known.revision if known is not None else ""
    return None if not revision or is_commit(revision) or revision in DEFAULT_BRANCHES.values() else revision
