"""The notebook: the ``%qwen3ft`` magic, the views it returns, forms, and the reporters that show progress in a cell."""

from qwen3ft_jupyter.notebook.display import CellReporter, default_reporter, get_model_manager
from qwen3ft_jupyter.notebook.forms import FineTuneForm, ModelPicker
from qwen3ft_jupyter.notebook.job_view import JOB_MIME_TYPE, JobView

__all__ = [
    "JOB_MIME_TYPE",
    "CellReporter",
    "FineTuneForm",
    "JobView",
    "ModelPicker",
    "default_reporter",
    "get_model_manager",
]
