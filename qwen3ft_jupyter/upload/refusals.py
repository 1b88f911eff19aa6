"""What a hub's client raises, as errors of ours: what failed, the hub's own words, and the cure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import AccessDenied, BadName, HubError, ModelNotFound, Qwen3ftError
from qwen3ft_jupyter.hubs.failures import unreachable
from qwen3ft_jupyter.hubs.reasons import clean, reason_of
from qwen3ft_jupyter.hubs.retry import TRANSIENT_STATUSES, busy
from qwen3ft_jupyter.hubs.tokens import TOKEN_PAGES
from qwen3ft_jupyter.messages import Message
from qwen3ft_jupyter.upload.plan import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.hubs.names import RepoId
    from qwen3ft_jupyter.hubs.tokens import Token
    from qwen3ft_jupyter.settings.declared import HubName

_FULL: Final = ("quota", "storage limit", "limit reached", "exceed", "容量", "配额", "超出", "上限")
"""Words by which hubs say that there is no room left."""
_NO_ROOM: Final = frozenset({402, 413, 507})
_NETWORK: Final = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
"""Packages whose errors are about the connection, where there is no answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """The repo that is written to, as errors name it."""

    hub: HubName
    endpoint: str
    repo_id: RepoId
    token: Token = field(repr=False)

    @property
    def label(self) -> str:
        """Return what the hub is called."""
        return LABELS[self.hub]

    @property
    def page(self) -> str:
        """Return the address of the repo's page."""
        base = f"{self.endpoint}/models" if self.hub == "modelscope" else self.endpoint
        return f"{base}/{self.repo_id}"

    def explain(self, error: BaseException) -> Qwen3ftError:
        """Return the error of ours for what a client raised; of its own text only the reason is kept."""
        links = list(_chain(error))
        ours = next((link for link in links if isinstance(link, Qwen3ftError)), None)
        if ours is not None:
            return ours
        for link in links:
            status, headers, body = _answer_in(link)
            if status:
                return self.refused(status, headers, body)
        if any(isinstance(link, OSError) or type(link).__module__.partition(".")[0] in _NETWORK for link in links):
            return unreachable(self.endpoint, error)
        kind = BadName if type(links[-1]).__name__ == "HFValidationError" else HubError
        message = Message('{label} does not take {repo_id}: "{reason}".')
        return self._error(kind, message, "", self._shown(str(links[-1])))

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Qwen3ftError:
        """Return the error for an answer that says no."""
        reason = self._shown(reason_of(headers, body))
        if reason:
            message = Message('{label} refuses {repo_id} (HTTP {status}): "{reason}".')
        else:
            message = Message("{label} refuses {repo_id} (HTTP {status}).")
        if status in TRANSIENT_STATUSES:
            return busy(self.label, status, headers.get("retry-after"))
        if status in _NO_ROOM or any(word in reason.lower() for word in _FULL):
            no_room = Message("There is no room left for it: make room there, or push less, for example the adapter.")
            return self._error(HubError, message, no_room, reason, status)
        kinds: Mapping[int, tuple[type[Qwen3ftError], str]] = {
            400: (BadName, Message("Check the name of the repo, and the front matter of README.md.")),
            401: (AccessDenied, Message("Make a new token on {tokens_page} and put it where the old one is: {place}.")),
            403: (
                AccessDenied,
                Message(
                    "The token ({place}) must be allowed to write, see {tokens_page}; and {owner} must be you, or an "
                    "organisation that you may write to."
                ),
            ),
            404: (
                ModelNotFound,
                Message("Check the spelling of {owner}: you, or an organisation of yours."),
            ),
            409: (HubError, Message("Somebody else changes the repo at the moment. Push again.")),
        }
        kind, hint = kinds.get(status, (HubError, Message("Check the endpoint setting, or try again.")))
        return self._error(kind, message, hint, reason, status)

    def _error(self, kind: type[Qwen3ftError], message: str, hint: str, reason: str, status: int = 0) -> Qwen3ftError:
        return kind(
            message,
            hint=hint,
            label=self.label,
            repo_id=self.repo_id,
            owner=self.repo_id.partition("/")[0],
            status=status,
            reason=reason.rstrip("."),
            place=self.token.place,
            tokens_page=TOKEN_PAGES[self.hub],
        )

    def _shown(self, reason: str) -> str:
        """Return a hub's own words without the token, should they quote it."""
        return clean(reason.replace(self.token.value, "***") if self.token.value else reason)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from."""
    link: BaseException | None = error
    for _ in range(8):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _answer_in(error: BaseException) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body of the answer that a client's error is about; 0 if there was none."""
    response = getattr(error, "response", None)
    if response is not None and isinstance(getattr(response, "status_code", None), int):
        return response.status_code, response.headers, response.content
    status, body = getattr(error, "status_code", None), getattr(error, "response_body", None)
    if not isinstance(status, int):
        return 0, {}, b""
    said = body if isinstance(body, str) else getattr(error, "message", "")
    if isinstance(body, dict):
        said = next((str(body[key]) for key in ("Message", "message", "error") if body.get(key)), said)
    retry_after = getattr(error, "retry_after", None)
    headers = {} if retry_after is None else {"retry-after": str(retry_after)}
    return status, headers, json.dumps({"message": said}).encode()
