"""What a thread of a form or a playground ended with, as an error that a person can be told."""

from __future__ import annotations

import logging
import sys

from qwen3ft_jupyter.errors import DoesNotFit, Qwen3ftError

logger = logging.getLogger(__name__)


def as_ours(error: Exception) -> Qwen3ftError:
    """Return an error with a cause and a cure for whatever went wrong; one that nobody foresaw is logged."""
    if isinstance(error, Qwen3ftError):
        return error
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return DoesNotFit(
            "There was not enough memory for the answer.",
            hint="Clear the conversation, allow fewer tokens, or take a smaller model.",
        )
    logger.error("Something failed that nobody foresaw.", exc_info=error)
    return Qwen3ftError("That failed ({kind}).", hint="Start the kernel anew.", kind=type(error).__name__)
