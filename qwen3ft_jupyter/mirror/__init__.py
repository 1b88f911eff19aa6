"""A read-only hub of our own: serves models on disk through the protocols of ModelScope and of Hugging Face.

Any program that speaks to either hub fetches from here once its endpoint setting says so. Nothing but the listed files
of models is ever handed out.
"""

from qwen3ft_jupyter.mirror.addresses import is_loopback, reachable
from qwen3ft_jupyter.mirror.mirror import Mirror, client_settings, serve

__all__ = ["Mirror", "client_settings", "is_loopback", "reachable", "serve"]
