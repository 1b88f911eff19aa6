"""PAI-DLC, played on loopback: the calls of its API that we make, with faults; its containers are up to the test."""

from __future__ import annotations

import http.server
import json
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

DROPPED = 0
"""In place of a status: the connection is closed without an answer."""
_ROUTES = (
    ("POST", re.compile(r"/api/v1/jobs"), "CreateJob"),
    ("GET", re.compile(r"/api/v1/jobs"), "ListJobs"),
    ("GET", re.compile(r"/api/v1/jobs/([^/]+)"), "GetJob"),
    ("DELETE", re.compile(r"/api/v1/jobs/([^/]+)"), "DeleteJob"),
    ("POST", re.compile(r"/api/v1/jobs/([^/]+)/stop"), "StopJob"),
    ("GET", re.compile(r"/api/v1/jobs/([^/]+)/events"), "GetJobEvents"),
    ("GET", re.compile(r"/api/v1/jobs/([^/]+)/pods/([^/]+)/logs"), "GetPodLogs"),
)


class PlayedDlc:
    """A service for the length of a `with` block. What it is asked is in `calls`; what it was given, in `jobs`.

    Args:
        states: what GetJob tells of a job, one a call; the last one stays.
        on_get: is called with the job and the number of the call before each of those answers.
        on_create: is called with a job that was made.
    """

    def __init__(
        self,
        states: list[str] | None = None,
        *,
        on_get: Callable[[dict[str, Any], int], None] = lambda _job, _number: None,
        on_create: Callable[[dict[str, Any]], None] = lambda _job: None,
    ) -> None:
        self.states = states or ["Creating", "Queuing", "Running", "Succeeded"]
        self.on_get, self.on_create = on_get, on_create
        self.jobs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.log_lines = ["installing", "training"]
        self.faults: dict[str, list[tuple[int, str, str, bool]]] = {}
        played = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
                """Nothing is printed."""

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = played.answer(self.command, self.path, body, dict(self.headers))
                if status == DROPPED:
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, action: str, status: int, code: str = "", message: str = "", *, is_done: bool = False) -> None:
        """Answer the next call of this action with an error; `is_done`: having done what it asked."""
        self.faults.setdefault(action, []).append((status, code, message, is_done))

    def count(self, action: str) -> int:
        return self.calls.count(action)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def answer(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        parts = urlsplit(target)
        for known, pattern, action in _ROUTES:
            match = pattern.fullmatch(unquote(parts.path))
            if match and method == known:
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                with self._lock:
                    self.calls.append(action)
                    self.headers.append(headers)
                    return self._act(action, match.groups(), query, json.loads(body or b"{}"))
        return 404, {"Code": "InvalidAction.NotFound", "Message": target}

    def _act(self, action: str, names: tuple[str, ...], query: dict[str, str], body: Any) -> tuple[int, Any]:
        fault = next(iter(self.faults.get(action, [])), None)
        if fault is not None:
            status, code, message, is_done = self.faults[action].pop(0)
            if is_done:
                self._do(action, names, query, body)
            return status, {"Code": code, "Message": message, "RequestId": "R-1"}
        if names and names[0] not in self.jobs:
            return 404, {"Code": "JobNotFound", "Message": f"no job {names[0]}"}
        return 200, {"RequestId": "R-0", **self._do(action, names, query, body)}

    def _do(self, action: str, names: tuple[str, ...], query: dict[str, str], body: Any) -> dict[str, Any]:
        if action == "CreateJob":
            job_id = f"dlc{len(self.jobs) + 1}"
            job = {**body, "JobId": job_id, "Status": "Creating", "asked": 0, "is_stopped": False}
            self.jobs[job_id] = job
            self.on_create(job)
            return {"JobId": job_id}
        if action == "ListJobs":
            wanted = query.get("DisplayName", "")
            found = [self._told(job) for job in self.jobs.values() if wanted in job["DisplayName"]]
            return {"Jobs": found[::-1], "TotalCount": len(found)}
        job = self.jobs[names[0]]
        if action == "GetJob":
            if not job["is_stopped"]:
                job["Status"] = self.states[min(job["asked"], len(self.states) - 1)]
            job["asked"] += 1
            self.on_get(job, job["asked"])
            return self._told(job)
        if action == "GetJobEvents":
            return {"JobId": names[0], "Events": ["Pulled the image"]}
        if action == "GetPodLogs":
            return {"PodId": names[1], "Logs": self.log_lines}
        if action == "StopJob":
            job["is_stopped"], job["Status"] = True, "Stopped"
        if action == "DeleteJob":
            del self.jobs[names[0]]
        return {"JobId": names[0]}

    def _told(self, job: dict[str, Any]) -> dict[str, Any]:
        state = {"PodId": f"{job['JobId']}-worker-0", "PodUid": "u0", "Type": "worker", "Status": job["Status"]}
        reason = {"ReasonCode": job.get("ReasonCode", ""), "ReasonMessage": job.get("ReasonMessage", "")}
        told = {name: job[name] for name in ("JobId", "DisplayName", "Status", "WorkspaceId", "JobType")}
        return {**told, **reason, "Pods": [state]}
