"""Hands out the work of one download: threads take pieces from it and report back.

All state that several threads share is here, under one lock; sockets and disks are not touched under it.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import HubError, Qwen3ftError, SourceFailed, WrongBytes
from qwen3ft_jupyter.messages import Message, Texts
from qwen3ft_jupyter.transfer.corruption_search import ANOTHER_TOOL
from qwen3ft_jupyter.transfer.rates import STALLED_S
from qwen3ft_jupyter.transfer.source import asked_wait_s, is_refusal, is_resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from qwen3ft_jupyter.hubs.retry import RetryPolicy
    from qwen3ft_jupyter.transfer.corruption_search import Suspects
    from qwen3ft_jupyter.transfer.file_download import FileDownload
    from qwen3ft_jupyter.transfer.range_chooser import RangeChooser
    from qwen3ft_jupyter.transfer.source_states import RangeFetch
    from qwen3ft_jupyter.work import Reporter

FOLLOW_BYTES: Final = 1 << 20
"""The follower is woken when at least this much waits to be hashed, or the file is complete."""

LITTLE_BYTES: Final = 64 << 10
"""A connection that broke off after so little is no reason to ask again at once."""

WITH_THE_ANSWER_BYTES: Final = 256 << 10
"""As much may have come with the answer: the first bytes of a piece say nothing of the speed unless they are more."""

ASIDE_FAILURES: Final = 3
"""After so many failures without a byte, people are told that a source is waited for no more while there are others."""

LOOK_S: Final = 0.1
"""A connection without work looks this often: a source may have been found, or a piece have become slow."""

QUIET_S: Final = 5.0
"""When nothing has come for so long, people are told for how long."""

PAUSE_S: Final = 2.0
"""When nobody brings anything for so long, the link itself pauses, and no connection is to blame."""


class Scheduler:
    """Hands out pieces and finished prefixes, and keeps count."""

    def __init__(
        self,
        chooser: RangeChooser,
        *,
        policy: RetryPolicy,
        clock: Callable[[], float],
        reporter: Reporter,
    ) -> None:
        self.downloads = chooser.downloads
        self.is_over = threading.Event()
        """Set when all is done, failed or stopped."""
        self.error: BaseException | None = None
        self.policy = policy
        self.clock = clock
        self.is_unlimited = True
        """Whether no speed is prescribed; else it is we who are slow, and more requests or connections help nobody."""
        self._chooser = chooser
        self._source_states = chooser.source_states
        self._range_fetches = chooser.range_fetches
        self._flows_since = math.inf
        self._last_bytes = -math.inf
        self._began = clock()
        self._is_paused = False
        self._reporter = reporter
        self._trouble = ""
        self._lock = threading.RLock()
        self._pieces_changed = threading.Condition(self._lock)
        self._prefix_changed = threading.Condition(self._lock)

    # What the engine asks

    def done_bytes(self) -> int:
        """Return how many bytes of all files are there."""
        with self._lock:
            return sum(download.pieces.done_bytes for download in self.downloads)

    def hashed_bytes(self) -> int:
        """Return how many bytes of all files were hashed."""
        with self._lock:
            return sum(download.digests.position for download in self.downloads)

    def is_transferred(self) -> bool:
        """Return whether every byte is there, verified or not."""
        with self._lock:
            return all(download.pieces.is_complete for download in self.downloads)

    def describe(self) -> str:
        """Return in a few words who is fetching from where, or why nobody is."""
        with self._lock:
            busy = [state for state in self._source_states if state.connections]
            shares = [Message("{count} from {source}", count=one.connections, source=one.name) for one in busy]
            said = Message("connections: {sources}", sources=Texts(shares, ", ")) if shares else self._trouble
            quiet_s = int(self.clock() - max(self._began, self._last_bytes))
        return said if quiet_s < QUIET_S else Message("nothing for {count} seconds; {said}", count=quiet_s, said=said)

    def pause(self, *, is_paused: bool) -> None:
        """Give up all connections, or go on."""
        with self._lock:
            if is_paused != self._is_paused:
                self._is_paused, self._began = is_paused, self.clock()
                self._cancel(self._range_fetches if is_paused else ())
                self._pieces_changed.notify_all()

    def look(self) -> None:
        """See what would do better: fewer connections, more, or others; to be called a few times a second."""
        with self._lock:
            if self._is_paused:
                return
            for download in self.downloads:
                self._end_if_nobody_is_left(download, download.failure)
            now = self.clock()
            self._chooser.measure(now)
            if self._last_bytes - self._flows_since >= STALLED_S and now - self._last_bytes <= PAUSE_S:
                self._drop_what_stalls(now)
            for source_state in self._source_states if self.is_unlimited else ():
                source_state.connection_limit.look(source_state.brought_bytes, source_state.connections, now)

    def to_sync(self) -> list[FileDownload]:
        """Return the files that have bytes which the disk was not asked to write down yet."""
        with self._lock:
            behind = [t for t in self._chooser.under_way if t.pieces.done_bytes != t.synced_bytes]
            for download in behind:
                download.synced_bytes = download.pieces.done_bytes
            return behind

    def finish(self, error: BaseException | None = None) -> None:
        """End the work: wake every thread; sources break off their reads. The first call decides how it ended."""
        with self._lock:
            if not self.is_over.is_set():
                self.error = error
            self.is_over.set()
            self._cancel(self._range_fetches)
            self._pieces_changed.notify_all()
            self._prefix_changed.notify_all()

    def held(self) -> AbstractContextManager[object]:
        """Hand nothing out while the block runs: threads that begin together fail together, which counts once."""
        return self._lock

    # What a connection asks

    def take(self, *, waits: bool = True) -> RangeFetch | None:
        """Return the next piece to fetch, waiting for one if need be; None when the work is over.

        Who does not wait gets None also when there is no piece at present.
        """
        with self._lock:
            while not self.is_over.is_set():
                range_fetch = (
                    None if self._is_paused else self._chooser.find(self.clock(), is_unlimited=self.is_unlimited)
                )
                if range_fetch is not None:
                    self._range_fetches.append(range_fetch)
                    range_fetch.source_state.connections += 1
                    return range_fetch
                if not waits:
                    return None
                self._pieces_changed.wait(LOOK_S)
            return None

    def opened(self, range_fetch: RangeFetch) -> None:
        """Note that the source has answered and its bytes are to come."""
        with self._lock:
            range_fetch.is_served, range_fetch.last = True, (now := self.clock())
            range_fetch.source_state.answered_after(now - range_fetch.began)

    def sends_whole_files(self, range_fetch: RangeFetch) -> None:
        """Note that the source ignored the range. Raises SourceFailed if others bring the same file."""
        download, source_state = range_fetch.download, range_fetch.source_state
        with self._lock:
            if range_fetch.piece.start > 0:
                download.whole.add(source_state.name)
            if source_state.name not in download.whole:
                return  # the file's front: as good as a range
            is_alone = download.pieces.flying == 1 and self._chooser.is_in_one(download)
        if not is_alone:
            raise SourceFailed(
                "{path}: {source_state} sends whole files only.",
                path=download.file.path,
                source_state=source_state.name,
            )

    def claim(self, range_fetch: RangeFetch, count: int, seconds: float) -> int:
        """Note that `count` bytes arrived within `seconds`; return how many of them the connection is to write.

        Fewer than `count` if the rest is another connection's; then the piece ends there.
        """
        source_state, now = range_fetch.source_state, self.clock()
        with self._lock:
            if range_fetch.has_answered or count > WITH_THE_ANSWER_BYTES:
                range_fetch.rate.add(count, seconds)
                source_state.read(count, seconds)
            if not range_fetch.has_answered:
                range_fetch.has_answered = True
                source_state.connection_limit.answered(source_state.connections, now)
                self._pieces_changed.notify()
            if now - self._last_bytes > PAUSE_S:
                self._flows_since = now
            range_fetch.last = self._last_bytes = now
            source_state.brought_bytes += count
            range_fetch.brought_bytes += count
            source_state.is_aside = False
            source_state.trouble.gained()
            range_fetch.retry_state.gained()
            count = range_fetch.download.pieces.claim(range_fetch.piece, count)
            if count and (loser := range_fetch.leave_race()) is not None:  # whoever is first has all of it
                loser.stop.set()
            return count

    def advance(self, range_fetch: RangeFetch, position: int) -> None:
        """Note that the piece is written up to `position`."""
        pieces = range_fetch.download.pieces
        with self._lock:
            pieces.advance(range_fetch.piece, position)
            if pieces.is_complete:
                self._cancel(
                    other
                    for other in self._range_fetches
                    if other.download is range_fetch.download and other is not range_fetch
                )
            elif pieces.prefix - range_fetch.download.digests.position >= FOLLOW_BYTES:
                self._prefix_changed.notify()

    def returned(self, range_fetch: RangeFetch) -> None:
        """Take a piece back, finished or not."""
        with self._lock:
            now = self.clock()
            if range_fetch.is_silent(now) and not self._is_paused:
                range_fetch.source_state.rate.add(
                    0, range_fetch.waited_s(now)
                )  # so that it is not taken for a fast one again
            range_fetch.leave_race()
            self._range_fetches.remove(range_fetch)
            range_fetch.download.pieces.release(range_fetch.piece)
            range_fetch.source_state.connections -= 1
            self._pieces_changed.notify()  # one connection more may have something to do; the others look anyway
            if range_fetch.download.pieces.is_complete:
                self._prefix_changed.notify()

    def failed(self, range_fetch: RangeFetch, error: Qwen3ftError) -> None:
        """Judge a failed attempt: again, elsewhere, or the end."""
        if not isinstance(error, (HubError, SourceFailed, WrongBytes)):
            self.finish(error)  # our own disk, or a stop
            return
        with self._lock:
            told = self._judge(range_fetch, error, self.clock())
        if told is not None:
            self._reporter.notice(told)

    # What a follower asks

    def take_prefix(self, *, waits: bool = True) -> tuple[FileDownload, int] | None:
        """Return a file and the end of its finished prefix, waiting for one to hash; None when the work is over.

        Who does not wait gets None also when there is none at present.
        """
        with self._lock:
            while not self.is_over.is_set():
                if self._chooser.is_done:
                    self.finish()
                    return None
                for download in self._chooser.under_way:
                    if self._wants_hashing(download):
                        download.is_hashing = True
                        return download, download.pieces.prefix
                if not waits:
                    return None
                self._prefix_changed.wait()
            return None

    def hashed(self, download: FileDownload) -> None:
        """Take a file back from a follower."""
        with self._lock:
            download.is_hashing = False
            self._prefix_changed.notify_all()

    def verified(self, download: FileDownload) -> set[str]:
        """Note that the whole file has the listed digest; return the names of those who were found lying."""
        with self._lock:
            download.is_verified = True
            self._chooser.under_way.remove(download)
            self._pieces_changed.notify()  # another file may be begun
            bad_sources = download.corruption_search.bad_sources()
            for source_state in self._source_states:
                source_state.is_bad = source_state.is_bad or source_state.name in bad_sources
                source_state.verified_bytes += sum(
                    r.end - r.start for r in download.partial.records if r.source == source_state.name
                )
            return bad_sources

    def forget(self, download: FileDownload, spans: Iterable[tuple[int, int]]) -> None:
        """Fetch `spans` of a complete file again, and hash it anew."""
        with self._lock:
            download.forget(spans)
            self._pieces_changed.notify_all()

    def next_suspects(self, download: FileDownload) -> Suspects | None:
        """Return what of a complete but wrong file is to be fetched again, and from whom; None if all was tried."""
        with self._lock:
            download.alone = None
            trusted = sorted(self._chooser.may_bring(download), key=lambda s: (s.is_bad, -s.verified_bytes))
            suspects = download.corruption_search.next_suspects(
                download.partial.records,
                sources=[source_state.name for source_state in trusted],
                suspected={ANOTHER_TOOL, *(s.name for s in self._source_states if s.is_bad)},
            )
            if suspects is not None and suspects.trusted:
                download.alone = next(s.source for s in trusted if s.name == suspects.trusted)
            return suspects

    def retry(self, download: FileDownload, suspects: Suspects) -> None:
        """Begin with what `next_suspects` has returned, now that the journal has forgotten it."""
        self.forget(download, [(record.start, record.end) for record in suspects.records])

    # Below: only under the lock

    def _cancel(self, range_fetches: Iterable[RangeFetch]) -> None:
        for range_fetch in range_fetches:
            range_fetch.stop.set()

    def _wants_hashing(self, download: FileDownload) -> bool:
        if download.is_hashing or download.is_verified:
            return False
        pieces = download.pieces
        if pieces.is_complete:
            return not pieces.flying  # whoever still flies has something to note in the journal
        return pieces.prefix - download.digests.position >= FOLLOW_BYTES

    def _drop_what_stalls(self, now: float) -> None:
        """Break connections off that bring nothing, or next to nothing, while others have done so all the time."""
        for range_fetch in self._range_fetches:
            if range_fetch.stop.is_set():
                continue
            if (
                range_fetch.waited_s(now) >= STALLED_S and not range_fetch.download.whole
            ):  # else the front is thrown away first
                range_fetch.error = SourceFailed(
                    "{name} went silent.", details={"cause": "silent"}, name=range_fetch.source_state.name
                )
                range_fetch.stop.set()
            elif self.is_unlimited and range_fetch.is_starving(now):
                range_fetch.stop.set()

    def _judge(self, range_fetch: RangeFetch, error: Qwen3ftError, now: float) -> Message | None:
        """Note what a failure says of its source; return what people should know of it."""
        source_state, download = range_fetch.source_state, range_fetch.download
        wait_s = asked_wait_s(error)
        self._trouble = Message("trying again: {problem}", problem=error.message)
        if is_refusal(error) and self._is_crowd(range_fetch, wait_s, now):
            return None
        self._blame(range_fetch, error, wait_s, now)
        is_exhausted = source_state.is_exhausted(id(download))
        others = [other for other in self._chooser.may_bring(download) if other is not source_state]
        if not others:
            self._end_if_nobody_is_left(download, error if is_exhausted else None)
            return None
        if source_state.is_aside or not (is_exhausted or source_state.trouble.failures >= ASIDE_FAILURES):
            return None
        source_state.is_aside = True
        return Message("{why} Going on from {name}.", why=error.message, name=others[0].name)

    def _blame(self, range_fetch: RangeFetch, error: Qwen3ftError, wait_s: float, now: float) -> None:
        """Count a failure against its source, for this file and, if the file is not the reason, for all."""
        retry_state, trouble = range_fetch.retry_state, range_fetch.source_state.trouble
        began, waited_s = range_fetch.began, range_fetch.waited_s(now)
        retry_state.failed(error, began=began, now=now, wait_s=wait_s, waited_s=waited_s)
        if 0 < range_fetch.brought_bytes < LITTLE_BYTES:  # who gives a byte and breaks off is not asked like mad
            retry_state.wait(now + self.policy.first_delay_s)
        is_news = retry_state.failures > trouble.failures  # else files that fail one after the other would add up
        if is_news and error.is_transient and error.details.get("cause") != "status":  # that is about one file
            trouble.failed(error, began=began, now=now, waited_s=waited_s)
        if not retry_state.is_exhausted:
            if wait_s:
                trouble.wait(now + wait_s)
        elif range_fetch.download.alone is range_fetch.source:
            range_fetch.download.alone = None  # it cannot be tried; the digest decides what others bring

    def _is_crowd(self, range_fetch: RangeFetch, wait_s: float, now: float) -> bool:
        """Allow its source fewer connections; return whether that is all, because others to it bring bytes just now.

        A wait that it asks for is kept nevertheless, up to the longest one that is not left to the user.
        """
        source_state = range_fetch.source_state
        if source_state.connections < 2:
            return False
        is_served = any(
            other is not range_fetch
            and other.source_state is source_state
            and other.is_served
            and not other.is_silent(now)
            and not other.stop.is_set()
            for other in self._range_fetches
        )
        source_state.connection_limit.refused(source_state.connections, now, wait_s if is_served else 0.0)
        if is_served and wait_s <= self.policy.max_wait_s:
            source_state.trouble.wait(now + wait_s)
        return is_served

    def _end_if_nobody_is_left(self, download: FileDownload, error: Qwen3ftError | None) -> None:
        """End the work with `error`, if there is one, unless somebody may still bring the file."""
        if error is None or download.pieces.is_complete:
            return
        resolving = [s.name for s in self._source_states if not is_resolved(s.source)]  # before one looks who has it
        if self._chooser.may_bring(download):
            download.failure = None
        elif resolving:
            download.failure = error
            self._trouble = Message("waiting for {source}: {problem}", source=resolving[0], problem=error.message)
        else:
            self.finish(error)
