"""Who supplies the bytes of one download: the hub that listed it, and whoever else turns out to have the same digests.

The listing's hub alone decides *what* is downloaded. The others are asked for their own listing while bytes already
arrive, each on a thread of its own, and are used for files of equal digest. One that is away or lacks the model costs
nothing and is not spoken of, unless the user asked for it by name.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import ModelNotFound, Qwen3ftError, RevisionNotFound, SourceFailed, Stopped
from qwen3ft_jupyter.hubs.git_refs import DEFAULT_BRANCHES
from qwen3ft_jupyter.hubs.listing import is_commit
from qwen3ft_jupyter.hubs.wire import stopped
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.processes import start_thread
from qwen3ft_jupyter.transfer.hub_source import HubSource
from qwen3ft_jupyter.work import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub, Listing, RemoteFile
    from qwen3ft_jupyter.settings.declared import HubName
    from qwen3ft_jupyter.transfer.source import ByteStream, Source
    from qwen3ft_jupyter.work import Reporter, Work

MIN_SHARED_BYTES: Final = 32 << 20
"""Smaller downloads are over before a second listing has come."""

POLL_S: Final = 0.1
"""Seconds between two looks at `stop` while a listing is waited for."""


@contextlib.contextmanager
def gather_sources(
    listing: Listing,
    *,
    hubs: Mapping[HubName, Hub],
    order: Sequence[HubName],
    mirrors: Sequence[Hub] = (),
    client: HttpClient,
    wanted: Sequence[str] | None = None,
    bytes_to_fetch: int,
    work: Work,
) -> Iterator[list[Source]]:
    """Yield the sources for the files of `listing`, the hub that gave it first; at the end of the block all are closed.

    Args:
        listing: What is downloaded.
        hubs: Whom to ask.
        order: The hubs that may be asked.
        mirrors: Further hubs, for bytes only.
        client: Carries the bytes.
        wanted: The only sources to use, in lower case; None for every one that is of use.
        bytes_to_fetch: How much will travel; others than the listing's hub are asked only if it is worth it or they
            are `wanted`.
        work: Is told when a source that was asked for by name cannot help. Listings are waited for only where the
            listing's hub itself is not wanted.

    Raises:
        Stopped: Someone wants the work to stop.
    """
    is_own_wanted = wanted is None or listing.hub in wanted
    own = [HubSource(hubs[listing.hub], listing, client)] if is_own_wanted else []
    late: list[LateSource] = []
    if wanted is not None or bytes_to_fetch >= MIN_SHARED_BYTES:
        aloud = work.reporter if wanted is not None else SILENT
        late = [
            LateSource(hub, listing, revisions, client, reporter=aloud)
            for hub, revisions in _others(listing, hubs, order, mirrors, wanted)
        ]
    try:
        for source in late:
            source.start()
        if not own:
            _wait_for(late, work.stop)
        yield [*own, *late]
    finally:
        for source in late:
            source.close()


class LateSource:
    """A hub that is still being asked whether it has the files of a listing; it has none of them until then.

    Used from several threads at once.
    """

    def __init__(
        self,
        hub: Hub,
        listing: Listing,
        revisions: Sequence[str | None],
        client: HttpClient,
        *,
        reporter: Reporter = SILENT,
    ) -> None:
        """Args: whom to ask, what for, under which names in turn, what carries the bytes, and who is told."""
        self._hub = hub
        self._listing = listing
        self._revisions = revisions
        self._client = client
        self._reporter = reporter
        self._source: HubSource | None = None
        self._is_closed = threading.Event()
        self._is_resolved = threading.Event()

    def start(self) -> None:
        """Begin to ask, on a thread of its own; if the system has none, ask now."""
        if not start_thread(threading.Thread(target=self._resolve, name="qwen3ft-late-source", daemon=True)):
            self._resolve()

    @property
    def name(self) -> str:
        """Return what the hub is called in front of a person."""
        return self._hub.label

    def has(self, file: RemoteFile) -> bool:
        """Return whether the hub is known to have these bytes."""
        source = self._source
        return source is not None and source.has(file)

    def open(
        self, file: RemoteFile, start: int, end: int, *, stop: threading.Event
    ) -> AbstractContextManager[ByteStream]:
        """Ask for the bytes of `file` from `start` up to `end`; see `Source.open`."""
        source = self._source
        if source is None:
            raise SourceFailed("{path}: {source} does not list it.", path=file.path, source=self.name)
        return source.open(file, start, end, stop=stop)

    def wait(self, limit_s: float) -> bool:
        """Wait at most `limit_s` seconds for the hub's answer; return whether it has come."""
        return self._is_resolved.wait(limit_s)

    def close(self) -> None:
        """Have the asking end, within a fraction of a second."""
        self._is_closed.set()

    def _resolve(self) -> None:
        repo_id = self._listing.repo_id
        try:
            source = HubSource(self._hub, self._ask(), self._client)
            if any(source.has(file) for file in self._listing.files):
                self._source = source
            else:
                self._reporter.notice(
                    Message(
                        "{source} has other files for {repo_id}. Going on without it.",
                        source=self.name,
                        repo_id=repo_id,
                    )
                )
        except Stopped:
            pass
        except Exception as error:  # noqa: BLE001 - the border of a thread: a source that fails is one fewer
            reason = (
                error.message
                if isinstance(error, Qwen3ftError)
                else Message("{source} cannot be asked.", source=self.name)
            )
            self._reporter.notice(Message("{reason} Going on without it.", reason=reason))
        finally:
            self._is_resolved.set()

    def _ask(self) -> Listing:
        """Return the hub's listing at the first of the revisions that it knows."""
        *first, last = self._revisions
        for revision in first:
            with contextlib.suppress(ModelNotFound, RevisionNotFound):
                return self._hub.listing(self._listing.repo_id, revision, stop=self._is_closed)
        return self._hub.listing(self._listing.repo_id, last, stop=self._is_closed)


def _others(
    listing: Listing,
    hubs: Mapping[HubName, Hub],
    order: Sequence[HubName],
    mirrors: Sequence[Hub],
    wanted: Sequence[str] | None,
) -> Iterator[tuple[Hub, list[str | None]]]:
    """Yield the hubs and mirrors to ask beside the listing's hub, each with the revisions to ask for in turn.

    Commits differ between the two hubs; a mirror has those of the hub it was filled from, whichever that was.
    """
    named = _named_revisions(listing)
    allowed = {*order, "mirrors", listing.hub} if wanted is None else set(wanted)
    asked = {hubs[listing.hub].endpoint} if listing.hub in allowed else set()
    others = [(hub, [*named, None]) for name, hub in hubs.items() if name != listing.hub and name in allowed]
    if "mirrors" in allowed:
        others += [(mirror, [*filter(None, [listing.commit]), *named, None]) for mirror in mirrors]
    for hub, revisions in others:
        if hub.endpoint not in asked:
            asked.add(hub.endpoint)
            yield hub, revisions


def _named_revisions(listing: Listing) -> list[str]:
    """Return the branch or tag of a listing, which other hubs may have, too, unless it is a hub's default."""
    revision = listing.revision
    return [] if is_commit(revision) or revision in DEFAULT_BRANCHES.values() else [revision]


def _wait_for(late: Sequence[LateSource], stop: threading.Event) -> None:
    for source in late:
        while not source.wait(POLL_S):
            if stop.is_set():
                raise stopped()
