"""Asks PAI-DLC by Alibaba Cloud's own client; tries again what does not pass, says how to cure what is refused."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qwen3ft_jupyter.errors import JobFailed, MissingPackage
from qwen3ft_jupyter.messages import Message, conceal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.dlc.options import Options

T = TypeVar("T")

WAITS_S: Final = (2.0, 4.0, 8.0, 20.0)
"""Before each further try of a call that was throttled or got no answer."""
CONNECT_MS, READ_MS = 10_000, 30_000
MOST_LOG_LINES: Final = 500
_SECRETS: Final = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN")
_KEY_ID: Final = re.compile(r"\b(?:LTAI|STS\.)[A-Za-z0-9]{8,}")
_MOST_WORDS: Final = 400
"""Characters of what the service says: some refusals repeat the request."""


class NoAnswer(Exception):
    """The service could not be reached or was busy for as long as we tried; what was asked may have been done."""

    def __init__(self, error: JobFailed) -> None:
        super().__init__(str(error))
        self.error = error
        """What to tell people if that is the end."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One container of a job."""

    id: str
    uid: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class DlcJob:
    """A job as PAI-DLC tells of it."""

    id: str
    state: str
    """Creating, Queuing, Running, Succeeded, …; versions to come may have others."""
    name: str = ""
    reason: str = ""
    pods: tuple[Pod, ...] = ()


def masked(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Return a text without secrets: keys, tokens, logins in addresses.

    >>> masked("key LTAI5tAbCdEfGh1234 of s3cret", {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "s3cret"})
    'key *** of ***'
    """
    environ = os.environ if environ is None else environ
    for name in _SECRETS:
        if value := environ.get(name):
            text = text.replace(value, "***")
    return conceal(_KEY_ID.sub("***", text))


class Service:
    """PAI-DLC of one region, with the credentials that Alibaba Cloud's client finds by itself."""

    def __init__(self, options: Options, *, waits_s: Sequence[float] = WAITS_S) -> None:
        """Raises MissingPackage if the client is not installed, JobFailed if there are no credentials."""
        self.waits_s, self._workspace = waits_s, options.dlc.workspace
        self._client = _open_client(options)

    def create(self, spec: Mapping[str, Any]) -> str:
        """Submit a job once and return its id. Raises NoAnswer if nobody knows whether it was: look for it then."""
        models = _models()
        answer = self._once("CreateJob", lambda: self._client.create_job(models.CreateJobRequest().from_map(spec)))
        return str(answer.body.job_id)

    def find(self, name: str) -> DlcJob | None:
        """Return the job that has this name, the newest of several; None if there is none."""
        request = _models().ListJobsRequest(
            display_name=name, workspace_id=self._workspace, sort_by="GmtCreateTime", order="desc", page_size=50
        )
        answer = self._call("ListJobs", lambda: self._client.list_jobs(request))
        return next((_job(each) for each in answer.body.jobs or () if each.display_name == name), None)

    def look(self, job_id: str) -> DlcJob | None:
        """Return how a job stands; None if there is none."""
        try:
            return self.get(job_id)
        except JobFailed as error:
            if error.details.get("refusal") == _ABSENT:
                return None
            raise

    def get(self, job_id: str) -> DlcJob:
        """Return how a job stands."""
        request = _models().GetJobRequest(need_detail=False)
        return _job(self._call("GetJob", lambda: self._client.get_job(job_id, request)).body)

    def events(self, job_id: str) -> list[str]:
        """Return what happened to a job."""
        request = _models().GetJobEventsRequest(max_events_num=MOST_LOG_LINES)
        answer = self._call("GetJobEvents", lambda: self._client.get_job_events(job_id, request))
        return [masked(str(line)) for line in answer.body.events or ()]

    def log(self, job_id: str, pod: Pod, since: str) -> list[str]:
        """Return the lines of a container's log from a time on, as `follow.utc` writes it; "": all."""
        request = _models().GetPodLogsRequest(
            pod_uid=pod.uid or None, start_time=since or None, max_lines=MOST_LOG_LINES
        )
        answer = self._call("GetPodLogs", lambda: self._client.get_pod_logs(job_id, pod.id, request))
        return [masked(str(line)) for line in answer.body.logs or ()]

    def stop(self, job_id: str) -> None:
        """Have a job ended."""
        self._call("StopJob", lambda: self._client.stop_job(job_id))

    def delete(self, job_id: str) -> None:
        """Have a job that is over deleted from the list there."""
        self._call("DeleteJob", lambda: self._client.delete_job(job_id))

    def _call(self, action: str, ask: Callable[[], T]) -> T:
        """Ask until there is an answer. Raises NoAnswer, JobFailed."""
        for wait_s in self.waits_s:
            try:
                return self._once(action, ask)
            except NoAnswer:  # noqa: PERF203 - each try is one
                time.sleep(wait_s)  # also if it is to stop, which asks for something itself
        return self._once(action, ask)

    def _once(self, action: str, ask: Callable[[], T]) -> T:
        """Ask once. Raises NoAnswer, JobFailed."""
        try:
            return ask()
        except Exception as error:
            raise _explain(action, error) from error  # the client raises all kinds: of its own, requests', urllib3's


def _open_client(options: Options) -> Any:  # Any: the client has no types
    try:
        from alibabacloud_credentials.client import Client as Credentials
        from alibabacloud_pai_dlc20201203.client import Client
        from alibabacloud_tea_openapi.utils_models import Config

        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells each log of when keys are refreshed
    except ImportError as error:
        raise MissingPackage(
            "The package {package} is not installed.",
            hint='pip install "qwen3ft-jupyter[dlc]"',
            package="alibabacloud_pai_dlc20201203",
        ) from error
    try:
        credentials = Credentials()
        credentials.get_credential()
    except Exception as error:  # whatever its chain of providers raises
        raise _no_credentials(str(error)) from error
    endpoint = options.endpoint
    return Client(
        Config(
            credential=credentials,
            region_id=options.region,
            endpoint=endpoint.host,
            protocol=endpoint.protocol,
            connect_timeout=CONNECT_MS,
            read_timeout=READ_MS,
        )
    )


def _models() -> Any:  # Any: the client has no types
    from alibabacloud_pai_dlc20201203 import models

    return models


def _job(told: Any) -> DlcJob:  # Any: the client has no types
    pods = (Pod(str(each.pod_id), each.pod_uid or "", each.type or "", each.status or "") for each in told.pods or ())
    reason = ": ".join(part for part in (told.reason_code, told.reason_message) if part)
    return DlcJob(str(told.job_id), str(told.status or ""), told.display_name or "", masked(reason), tuple(pods))


def _explain(action: str, error: Exception) -> JobFailed | NoAnswer:
    """Return what a call's failure means, and what to do."""
    status, code = getattr(error, "status_code", None), str(getattr(error, "code", None) or "")
    words = masked(" ".join(str(getattr(error, "message", None) or error).split()))[:_MOST_WORDS]
    if status is None and "redential" in f"{type(error).__name__} {code}":
        return _no_credentials(words)
    if status is None:
        cause = type(getattr(error, "inner_exception", None) or error).__name__
        return NoAnswer(JobFailed("PAI-DLC cannot be reached ({reason}).", hint=_NETWORK, reason=cause))
    if status == 429 or status >= 500 or "Throttling" in code:
        busy = Message("PAI-DLC is busy ({action}: {code}).", action=action, code=code or str(status))
        return NoAnswer(JobFailed(busy, hint="Resume the job in a while."))
    template, hint, kind = next(
        (found for pattern, *found in _REFUSALS if pattern.search(code) or pattern.search(str(status))),
        _ELSE,
    )
    details = {"status": str(status), "refusal": kind}
    return JobFailed(template, hint=hint, details=details, action=action, code=code, reason=words)


def _no_credentials(words: str) -> JobFailed:
    return JobFailed(
        "There are no credentials of Alibaba Cloud.",
        hint="Give the PAI-DSW instance a RAM role, or set ALIBABA_CLOUD_ACCESS_KEY_ID and "
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET before Jupyter starts.",
        details={"reason": masked(words)[:_MOST_WORDS]},
    )


_NETWORK = Message(
    "Check the network of this machine; without a public one, set PAI_DLC_ENDPOINT to the address within the VPC, "
    "such as pai-dlc-vpc.cn-hangzhou.aliyuncs.com. Then resume."
)
_ABSENT: Final = "absent"
_REFUSALS: Final = (
    (
        re.compile(r"InvalidAccessKeyId|SignatureDoesNotMatch|InvalidSecurityToken|SecurityToken\.Expired|^401$"),
        Message("PAI-DLC does not take the credentials ({code})."),
        Message("Check ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or the RAM role; then resume."),
        "credentials",
    ),
    (
        re.compile(r"(?i)balance|arrear|overdue|NoPayment"),
        Message("The account cannot pay for the job: {reason}"),
        Message("Top it up in the console; then resume."),
        "payment",
    ),
    (
        re.compile(
            r"(?i)Quota\.?(Exceed|NotEnough|Insufficient)|Exceeds?\w*Quota|NotEnough|NoStock|OutOfStock|Insufficient"
        ),
        Message("PAI-DLC has no room for the job: {reason}"),
        Message("Take fewer hosts or GPUs, another dlc.ecs_spec or dlc.resource_id, or wait; then resume."),
        "room",
    ),
    (
        re.compile(r"Forbidden|NoPermission|AccessDenied|Unauthorized|^403$"),
        Message("The account may not call {action}: {reason}"),
        Message(
            "Give its RAM user or role paidlc:{action} and a role in the workspace; see Once in docs/how-to/pai-dlc.md."
        ),
        "denied",
    ),
    (
        re.compile(r"NotFound|^404$"),
        Message("PAI-DLC does not know what was asked for ({action}): {reason}"),
        Message("Check dlc.region and dlc.workspace."),
        _ABSENT,
    ),
    (
        re.compile(r"^400$|Invalid|Missing|Malformed"),
        Message("PAI-DLC does not take the job: {reason}"),
        Message("Correct the config's group dlc, and start a new fine-tune."),
        "request",
    ),
)
"""What is found in a refusal's code or status, never in its words, which name resources: the first that fits.

What it means, the cure, and a name. A code that says precisely what is amiss comes first: Alibaba Cloud refuses who
cannot pay, and keys that it does not know, with 403 and 404, too.
"""
_ELSE: Final = (
    Message("PAI-DLC refuses {action} ({code}): {reason}"),
    Message("Look into the console; then resume."),
    "else",
)
