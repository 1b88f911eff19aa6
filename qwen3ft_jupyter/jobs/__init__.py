"""Jobs: long work in a process of its own, which outlives the kernel and the server and is followed through a folder.

Nothing here knows what the work is. `JobStore.start` starts a job; in the job's process, `worker.run` calls the
function that the command line maps to the job's kind.
"""

from qwen3ft_jupyter.jobs.folder import LogChunk
from qwen3ft_jupyter.jobs.state import JobState, JobStatus
from qwen3ft_jupyter.jobs.store import Job, JobStore
from qwen3ft_jupyter.jobs.worker import JobContext

__all__ = ["Job", "JobContext", "JobState", "JobStatus", "JobStore", "LogChunk"]
