"""Decides what one more connection should do: which piece, of which file, from whom.

Used only under the scheduler's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.transfer.pieces import front_length, least_piece, piece_length, tail_length

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.source_states import RangeFetch, SourceState

LATEST: Final = 8
"""Of the pieces under way, how many of the latest are looked at for help: the very latest may have it already."""

PROBES: Final = 2
"""The same, while others are known to work."""

SPARE_FILES: Final = 4
"""More files than connections that are open at once: those that have arrived and wait for their digest. Without a
bound, thousands of small files exhaust the descriptors where they arrive faster than they are hashed and synced."""

ALIKE: Final = 0.75
"""Sources whose speeds differ by less share the connections evenly."""


class RangeChooser:
    """Holds all files, sources and connections of one download, and changes none but the pieces it hands out."""

    def __init__(
        self,
        downloads: Sequence[FileDownload],
        source_states: Sequence[SourceState],
        connections: int,
    ) -> None:
        self.downloads = downloads
        self.under_way = [d for d in downloads if _is_begun(d)]
        """Files of which bytes are here or on their way, until they are verified. The rest costs nothing: it may be
        thousands of files, and each piece and each digest is chosen from these."""
        self._waiting = [d for d in downloads if not _is_begun(d)]
        self._waiting_bytes = sum(d.pieces.untaken_bytes for d in self._waiting)
        self.source_states = source_states
        self.range_fetches: list[RangeFetch] = []
        """The ranges under way."""
        self._connections = connections

    def find(self, now: float, *, is_unlimited: bool) -> RangeFetch | None:
        """Return what one more connection should do now: a piece nobody fetches, or help with one that is slow.

        Args:
            now: The engine's clock.
            is_unlimited: Whether no speed is prescribed; else help is for pieces that do not come at all.
        """
        self.measure(now)
        untaken = self._waiting_bytes + sum(download.pieces.untaken_bytes for download in self.under_way)
        for download in self._unfetched():
            in_one = self.is_in_one(download)
            if in_one and download.pieces.flying:
                continue
            total = total_speed(self.source_states)
            source_state = choose(self._ready(download, now), untaken_bytes=untaken, total=total)
            if source_state is None:
                continue
            length = download.file.size
            if not in_one:
                share = piece_length(
                    untaken,
                    speed=source_state.speed,
                    total_speed=total + (source_state.speed or 0.0),
                    connections=self._connections,
                    latency_s=source_state.latency_s,
                )
                length = min(share, front_length(download.pieces.untaken_start, self._connections))
            self._begin(download)
            piece = download.pieces.take(length)
            if piece is not None:
                return source_state.fetch(download, piece, now)
        return self._find_tail(now, is_unlimited=is_unlimited)

    def _unfetched(self) -> Iterator[FileDownload]:
        """Yield the files that lack bytes nobody fetches, but for new ones while too many are open."""
        yield from (download for download in self.under_way if download.pieces.untaken_bytes)
        if sum(download.is_open for download in self.under_way) < self._connections + SPARE_FILES:
            yield from self._waiting

    def _begin(self, download: FileDownload) -> None:
        download.is_open = True
        if download in self._waiting:
            self._waiting.remove(download)
            self._waiting_bytes -= download.pieces.untaken_bytes
            self.under_way.append(download)

    @property
    def is_done(self) -> bool:
        """Whether every file is verified."""
        return not self.under_way and not self._waiting

    def measure(self, now: float) -> None:
        """Look how fast every source is, what it keeps waiting for counted in: one that stalls is slow at once."""
        for source_state in self.source_states:
            waited_s = sum(
                range_fetch.waited_s(now)
                for range_fetch in self.range_fetches
                if range_fetch.source_state is source_state
            )
            source_state.speed = source_state.rate.per_s(waited_s)

    def may_bring(self, download: FileDownload) -> list[SourceState]:
        """Return the sources that the file is expected from; the worst only if there is nobody else."""
        able = [s for s in self._having(download) if not s.is_exhausted(id(download))]
        able = [s for s in able if not s.is_bad] or able
        return [s for s in able if s.name not in download.whole] or able

    def is_in_one(self, download: FileDownload) -> bool:
        """Return whether one connection takes the rest of the file, none beside it."""
        return bool(download.whole) and all(s.name in download.whole for s in self.may_bring(download))

    def _having(self, download: FileDownload) -> list[SourceState]:
        return [s for s in self.source_states if download.alone in {None, s.source} and s.source.has(download.file)]

    def _ready(self, download: FileDownload, now: float) -> list[SourceState]:
        """Return the sources that may be asked now: also those that one counts on no more, but only now and then."""
        able, key = self.may_bring(download), id(download)
        resting = [s for s in self._having(download) if s.is_exhausted(key)]
        resting = [s for s in resting if not s.is_bad and s.name not in download.whole]
        return [s for s in [*able, *resting] if s.ready_at(key) <= now]

    def _find_tail(self, now: float, *, is_unlimited: bool) -> RangeFetch | None:
        """Return a second request for one of the pieces that would end last, if that ends the work earlier."""
        range_fetches = [range_fetch for range_fetch in self.range_fetches if not range_fetch.stop.is_set()]
        late = sorted(range_fetches, key=lambda range_fetch: range_fetch.ends_in(now), reverse=True)
        helpers = (self._help(range_fetch, now, is_unlimited=is_unlimited) for range_fetch in late[:LATEST])
        return next(filter(None, helpers), None)

    def _help(self, range_fetch: RangeFetch, now: float, *, is_unlimited: bool) -> RangeFetch | None:
        """Return a second request for the end of a piece, or in a race for all of it; None if that would not pay."""
        download, piece = range_fetch.download, range_fetch.piece
        left, is_raced = piece.end - piece.claimed, download.pieces.is_raced(piece)
        source_state = self._find_helper(range_fetch, left, now)
        is_helped = is_raced if range_fetch.is_silent(now) else range_fetch.speed is None
        if source_state is None or is_helped or self.is_in_one(download):
            return None
        tail = _tail(range_fetch, source_state, left, now)
        if 0 < tail < left and is_unlimited:
            return source_state.fetch(download, download.pieces.split(piece, piece.end - tail), now)
        if tail < left or not tail or is_raced:
            return None
        helper = source_state.fetch(download, download.pieces.race(piece), now)
        helper.rival, range_fetch.rival = range_fetch, helper
        return helper

    def _find_helper(self, range_fetch: RangeFetch, left: int, now: float) -> SourceState | None:
        """Return whom to ask for what a range fetch does not bring: if it is silent, rather not its own source."""
        ready, total = self._ready(range_fetch.download, now), total_speed(self.source_states)
        others = [s for s in ready if s is not range_fetch.source_state] if range_fetch.is_silent(now) else []
        return choose(others, untaken_bytes=left, total=total) or choose(ready, untaken_bytes=left, total=total)


def _is_begun(download: FileDownload) -> bool:
    """Return whether bytes of a file are here, or all of them because it has none."""
    return bool(download.pieces.done_bytes) or not download.file.size


def _tail(range_fetch: RangeFetch, helper: SourceState, left: int, now: float) -> int:
    speed = range_fetch.speed or helper.speed or left  # the last: what is silent is raced at any speed
    return tail_length(
        left,
        speed=speed,
        silent_s=range_fetch.waited_s(now),
        other_speed=helper.speed or speed,
        other_latency_s=helper.latency_s,
    )


def total_speed(source_states: Sequence[SourceState]) -> float:
    """Return the bytes a second that all open connections bring together."""
    return sum((source_state.speed or 0.0) * source_state.connections for source_state in source_states)


def choose(ready: Sequence[SourceState], *, untaken_bytes: int, total: float) -> SourceState | None:
    """Return the source that the next connection should go to, or None if it had better wait.

    One that nobody knows yet comes first, on a few connections, so that all are measured; then one without any
    connection; then the fastest per connection. So a source with a limit per server gets connections until they slow
    each other down, and one with a limit per connection gets as many as there are. One that could not bring its
    smallest piece before the rest has arrived from others is left alone.

    Args:
        ready: The sources that may be asked now.
        untaken_bytes: What nobody has asked for yet, of all files.
        total: Bytes a second that all connections bring together.
    """
    is_proven = any(source_state.connection_limit.has_answered for source_state in ready)
    free = [s for s in ready if s.connections < _limit(s, is_proven=is_proven)]
    unproven = [s for s in free if not s.connection_limit.has_answered]
    if unproven:
        return _least_busy(unproven)
    return _fastest([s for s in free if not is_too_slow(s, untaken_bytes, total)])


def _fastest(useful: Sequence[SourceState]) -> SourceState | None:
    """Return a source without any connection, else the least busy of the fastest."""
    idle = next((s for s in useful if not s.connections), None)
    if idle is not None or not useful:
        return idle
    best = max(s.speed or 0.0 for s in useful)
    return _least_busy(s for s in useful if s.speed is None or s.speed >= ALIKE * best)


def _least_busy(source_states: Iterable[SourceState]) -> SourceState:
    return min(source_states, key=lambda s: s.connections)


def is_too_slow(source_state: SourceState, untaken_bytes: int, total: float) -> bool:
    """Return whether the rest will have come from others before this one can bring its smallest piece."""
    own = (source_state.speed or 0.0) * source_state.connections
    others = total - own
    if source_state.speed is None or others <= own:
        return False
    least_s = (
        least_piece(source_state.speed, source_state.latency_s) / max(source_state.speed, 1e-6) + source_state.latency_s
    )
    return least_s > untaken_bytes / others


def _limit(source_state: SourceState, *, is_proven: bool) -> int:
    limit = source_state.connection_limit.limit
    return min(PROBES, limit) if is_proven and not source_state.connection_limit.has_answered else limit
