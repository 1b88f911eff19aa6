"""The hub of the benchmarks: our mirror, in a process of its own, with a limit per connection.

``python -m tests.benchmarks.origin FOLDER REPO_ID BYTES_PER_SECOND`` prints its address and serves until stdin ends.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from qwen3ft_jupyter.mirror import Mirror
from qwen3ft_jupyter.mirror.handler import Handler

if TYPE_CHECKING:
    from qwen3ft_jupyter.mirror.replies import Slice

SEND_BYTES = 256 << 10
"""Sent at once under a limit: small enough to be even, large enough to cost nothing."""


class LimitedHandler(Handler):
    """Sends no faster than the limit, whatever the client's window."""

    bytes_per_s = 0.0
    """0 for no limit."""

    def _send_slice(self, part: Slice) -> None:
        if not self.bytes_per_s:
            super()._send_slice(part)
            return
        began, sent = time.monotonic(), 0
        while sent < part.length:
            count = min(SEND_BYTES, part.length - sent)
            sent += self.connection.sendfile(part.file, part.start + sent, count)
            time.sleep(max(0.0, began + sent / self.bytes_per_s - time.monotonic()))


def main() -> None:
    folder, repo_id, limit = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    LimitedHandler.bytes_per_s = limit
    with Mirror({repo_id: folder}) as mirror:
        assert mirror._server is not None
        mirror._server.RequestHandlerClass = LimitedHandler
        print(mirror.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
