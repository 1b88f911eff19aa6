"""Jobs: long work in a process of its own, which outlives the kernel and the server and is followed through a folder.

Nothing here knows what the work is. `JobStore.start` starts a job of a `JobKind`; in the job's process, `worker.main`
calls the function of that kind.
"""
