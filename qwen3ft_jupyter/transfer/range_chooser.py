"""Decides what one more connection should do: which piece, of which file, from whom.

Used only under the scheduler's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.transfer.range_fetch import RangeFetch
from qwen3ft_jupyter.transfer.rates import piece_length, tail_length
from qwen3ft_jupyter.transfer.source_states import choose, total_speed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.pieces import Piece
    from qwen3ft_jupyter.transfer.source_states import SourceState

LATEST: Final = 8
"""Of the pieces under way, how many of the latest are looked at for help: the very latest may have it already."""


class RangeChooser:
    """Sees all files, sources and connections of one download, and changes none but the pieces it hands out."""

    def __init__(
        self,
        downloads: Sequence[FileDownload],
        source_states: Sequence[SourceState],
        range_fetches: Sequence[RangeFetch],
        connections: int,
    ) -> None:
        self._downloads = downloads
        self._source_states = source_states
        self._range_fetches = range_fetches
        self._connections = connections

    def find(self, now: float, *, is_unlimited: bool) -> RangeFetch | None:
        """Return what one more connection should do now: a piece nobody fetches, or help with one that is slow.

        Args:
            now: The engine's clock.
            is_unlimited: Whether no speed is prescribed; else help is for pieces that do not come at all.
        """
        self.measure(now)
        untaken = sum(download.pieces.untaken_bytes for download in self._downloads)
        for download in self._downloads:
            if not download.pieces.untaken_bytes:
                continue
            in_one = self.is_in_one(download)
            if in_one and download.pieces.flying:
                continue
            total = total_speed(self._source_states)
            source_state = choose(self._ready(download, now), untaken_bytes=untaken, total=total)
            if source_state is None:
                continue
            length = download.file.size
            if not in_one:
                length = piece_length(
                    untaken,
                    speed=source_state.speed,
                    total_speed=total + (source_state.speed or 0.0),
                    connections=self._connections,
                    latency_s=source_state.latency_s,
                )
            piece = download.pieces.take(length)
            if piece is not None:
                return _start(download, piece, source_state, now)
        return self._find_tail(now, is_unlimited=is_unlimited)

    def measure(self, now: float) -> None:
        """Look how fast every source is, what it keeps waiting for counted in: one that stalls is slow at once."""
        for source_state in self._source_states:
            waited_s = sum(
                range_fetch.waited_s(now)
                for range_fetch in self._range_fetches
                if range_fetch.source_state is source_state
            )
            source_state.speed = source_state.rate.per_s(waited_s)

    def may_bring(self, download: FileDownload) -> list[SourceState]:
        """Return the sources that the file is expected from; the worst only if there is nobody else."""
        able = [s for s in self._having(download) if not s.retry_state_for(id(download)).is_exhausted]
        able = [s for s in able if not s.is_bad] or able
        return [s for s in able if s.name not in download.whole] or able

    def is_in_one(self, download: FileDownload) -> bool:
        """Return whether one connection takes the rest of the file, none beside it."""
        return bool(download.whole) and all(s.name in download.whole for s in self.may_bring(download))

    def _having(self, download: FileDownload) -> list[SourceState]:
        return [s for s in self._source_states if download.alone in {None, s.source} and s.source.has(download.file)]

    def _ready(self, download: FileDownload, now: float) -> list[SourceState]:
        """Return the sources that may be asked now: also those that one counts on no more, but only now and then."""
        able, key = self.may_bring(download), id(download)
        resting = [s for s in self._having(download) if s.retry_state_for(key).is_exhausted]
        resting = [s for s in resting if not s.is_bad and s.name not in download.whole]
        return [s for s in [*able, *resting] if s.ready_at(key) <= now]

    def _find_tail(self, now: float, *, is_unlimited: bool) -> RangeFetch | None:
        """Return a second request for one of the pieces that would end last, if that ends the work earlier."""
        range_fetches = [range_fetch for range_fetch in self._range_fetches if not range_fetch.stop.is_set()]
        late = sorted(range_fetches, key=lambda range_fetch: range_fetch.ends_in(now), reverse=True)
        for range_fetch in late[:LATEST]:
            download, piece = range_fetch.download, range_fetch.piece
            left, is_raced, is_silent = (
                piece.end - piece.claimed,
                download.pieces.is_raced(piece),
                range_fetch.is_silent(now),
            )
            source_state = self._find_helper(range_fetch, left, now)
            if (
                self.is_in_one(download)
                or source_state is None
                or (is_raced if is_silent else range_fetch.speed is None)
            ):
                continue
            speed = range_fetch.speed or source_state.speed or left  # the last: what is silent is raced at any speed
            tail = tail_length(
                left,
                speed=speed,
                silent_s=range_fetch.waited_s(now),
                other_speed=source_state.speed or speed,
                other_latency_s=source_state.latency_s,
            )
            if 0 < tail < left and is_unlimited:
                return _start(download, download.pieces.split(piece, piece.end - tail), source_state, now)
            if 0 < tail == left and not is_raced:
                helper = _start(download, download.pieces.race(piece), source_state, now)
                helper.rival, range_fetch.rival = range_fetch, helper
                return helper
        return None

    def _find_helper(self, range_fetch: RangeFetch, left: int, now: float) -> SourceState | None:
        """Return whom to ask for what a range fetch does not bring: if it is silent, rather not its own source."""
        ready, total = self._ready(range_fetch.download, now), total_speed(self._source_states)
        others = [s for s in ready if s is not range_fetch.source_state] if range_fetch.is_silent(now) else []
        return choose(others, untaken_bytes=left, total=total) or choose(ready, untaken_bytes=left, total=total)


def _start(download: FileDownload, piece: Piece, source_state: SourceState, now: float) -> RangeFetch:
    return RangeFetch(download, piece, source_state, now, source_state.retry_state_for(id(download)), last=now)
