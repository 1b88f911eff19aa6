"""From a request to a model on this disk."""

from qwen3ft_jupyter.download.request import DownloadRequest, Wanted

__all__ = ["DownloadRequest", "Wanted"]
