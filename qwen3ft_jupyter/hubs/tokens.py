"""The token of a hub: sent to it alone, and only as long as the hub accepts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3ft_jupyter.errors import BadSetting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen3ft_jupyter.settings.declared import HubName

TOKEN_VARIABLES: Final[dict[HubName, str]] = {"modelscope": "MODELSCOPE_API_TOKEN", "huggingface": "HF_TOKEN"}
MIRROR_TOKENS: Final = "QWEN3FT_MIRROR_TOKENS"
"""The variable that holds the tokens of mirrors."""
TOKEN_PAGES: Final[dict[HubName, str]] = {
    "modelscope": "https://modelscope.cn/my/myaccesstoken",
    "huggingface": "https://huggingface.co/settings/tokens",
}
"""Where people make tokens and change what they allow."""
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")  # what a cookie may hold: no space, quote, comma, semicolon, backslash


@dataclass(slots=True)
class Token:
    """What a hub knows us by, and where it came from."""

    variable: str
    """The setting that holds it."""
    value: str | None = None
    origin: str = ""
    """Where the setting found it, in words."""
    is_dropped: bool = False
    """Whether the hub does not accept it, so that it is asked without."""
    is_told: bool = False
    """Whether people know that."""
    reason: str = ""
    """Why it does not, in its own words."""

    def __post_init__(self) -> None:
        """Check the value. Raises BadSetting if it holds characters that no token has; it is not shown."""
        self.value = self.value or None
        if self.value and not _TOKEN.fullmatch(self.value):
            raise BadSetting(
                "{variable} holds characters that no token has.", hint="Copy it again.", variable=self.variable
            )

    @property
    def place(self) -> str:
        """Return where it came from."""
        return self.origin or self.variable

    @property
    def is_sent(self) -> bool:
        """Return whether requests have it."""
        return self.value is not None and not self.is_dropped

    def headers(self, *, with_cookie: bool = False) -> Mapping[str, str]:
        """Return the headers that hold it; none where it is not sent."""
        if not self.is_sent:
            return {}
        headers = {"authorization": f"Bearer {self.value}"}
        return {**headers, "cookie": f"m_session_id={self.value}"} if with_cookie else headers

    def drop(self, reason: str) -> None:
        """Send it no more."""
        self.is_dropped, self.reason = True, reason
