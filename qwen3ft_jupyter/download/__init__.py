"""From a request to a model on this disk: request → plan → apply. The plan that is shown is the one executed."""

from qwen3ft_jupyter.download.downloader import Downloader, Ensured
from qwen3ft_jupyter.download.plan import DownloadPlan, PlannedFile
from qwen3ft_jupyter.download.request import DownloadRequest, Wanted

__all__ = ["DownloadPlan", "DownloadRequest", "Downloader", "Ensured", "PlannedFile", "Wanted"]
