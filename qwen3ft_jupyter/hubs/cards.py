"""Cards, the README.md of a repo: what its front matter says, and the text below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from qwen3ft_jupyter.errors import HubError

if TYPE_CHECKING:
    import threading

    from qwen3ft_jupyter.hubs.http import HttpClient
    from qwen3ft_jupyter.hubs.listing import Hub, Listing

CARD: Final = "README.md"
MAX_CARD_BYTES: Final = 4 << 20
"""No card that is read for what its front matter says is longer."""
MAX_SHOWN_BYTES: Final = 512 << 10
"""So much of a card is shown: ten times the longest one of Qwen."""
MAX_FRONT_MATTER: Final = 64 << 10
"""Characters of front matter that are read for a person; the parser takes a second for ten times as many."""
BAD_YAML: Final = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
"""What PyYAML raises beside its own errors: for tags that do not fit (``!!int ""``), for dates that are none, and for
what is nested without end."""
_TOO_LONG = "[...]"
_FRONT_MATTER = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n\s*|\Z)", re.DOTALL | re.MULTILINE)


class Card(NamedTuple):
    """A card in its parts."""

    front: Mapping[str, object]
    """What its front matter says; empty where there is none, or none that can be read."""
    text: str
    """Markdown, without the front matter."""

    @property
    def license(self) -> str:
        """Return the licence as the hubs name it, "" if the card does not say."""
        for key in ("license_name", "license"):
            if isinstance(said := self.front.get(key), str) and said != "other":
                return said[:80]
        return ""


def read_card(text: str) -> Card:
    r"""Return a card in its parts.

    >>> read_card("---\nlicense: apache-2.0\n---\n# Qwen3")
    Card(front={'license': 'apache-2.0'}, text='# Qwen3')
    """
    match = _FRONT_MATTER.match(text)
    return Card({}, text) if match is None else Card(_front_matter(match[1]), text[match.end() :])


def _front_matter(text: str) -> Mapping[str, object]:
    import yaml

    try:
        front = yaml.safe_load(text)
    except (yaml.YAMLError, *BAD_YAML):
        return {}
    return front if isinstance(front, Mapping) else {}


def shown_card(data: bytes) -> Card:
    """Return a card for a person to read: what is too long of it is cut off, and said to be."""
    text = data[:MAX_SHOWN_BYTES].decode(errors="replace")
    match = _FRONT_MATTER.match(text)
    is_long = match is not None and len(match[1]) > MAX_FRONT_MATTER
    card = Card({}, text[match.end() :]) if match is not None and is_long else read_card(text)
    return card if len(data) <= MAX_SHOWN_BYTES else card._replace(text=f"{card.text}\n\n{_TOO_LONG}\n")


def fetch_card(hub: Hub, client: HttpClient, listing: Listing, *, stop: threading.Event | None = None) -> bytes:
    """Return the card of a repo as the hub gives it; nothing if it has none.

    Raises:
        HubError: It does not give it.
        Stopped: `stop` was set.
    """
    file = next((file for file in listing.files if file.path == CARD), None)
    if file is None:
        return b""
    request = hub.file_request(listing, file)
    answer = client.get(request.url, headers=request.headers, max_bytes=MAX_CARD_BYTES, stop=stop)
    if answer.status != 200:
        raise HubError("{hub} does not give {path}: HTTP {status}.", hub=hub.label, path=CARD, status=answer.status)
    return answer.body
