"""What all routes share: bodies and queries, answers, and the one table from errors to HTTP statuses."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from jupyter_server.auth import decorator
from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.contents.filemanager import FileContentsManager
from jupyter_server.utils import url_path_join
from tornado import web

from qwen3ft_jupyter import errors
from qwen3ft_jupyter.faces import say
from qwen3ft_jupyter.faces.verbs import grammar
from qwen3ft_jupyter.messages import Message, Speaker, as_language
from qwen3ft_jupyter.server import fields
from qwen3ft_jupyter.server.answers import to_json
from qwen3ft_jupyter.server.shown import ShownFolder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import TracebackType

    from qwen3ft_jupyter.jobs.state import JobSnapshot
    from qwen3ft_jupyter.manager import ModelManager
    from qwen3ft_jupyter.server.access import ManagerAccess
    from qwen3ft_jupyter.server.answers import Answers
    from qwen3ft_jupyter.server.curves import Curves, RunCurvesOf
    from qwen3ft_jupyter.server.events import ChangeWatcher
    from qwen3ft_jupyter.server.fields import Field, Given

T = TypeVar("T")
Verb = TypeVar("Verb", bound="Callable[..., Awaitable[None] | None]")

ROOT = "qwen3ft"
"""Where our routes hang below the server's base URL."""
MAX_BODY_BYTES = 1_000_000
"""No request of ours needs more than a few hundred bytes; Jupyter's own limit is 512 MB."""

STATUS_OF: Mapping[type[errors.Qwen3ftError], int] = {
    errors.Qwen3ftError: 500,
    errors.BadInput: 400,
    errors.BadSetting: 500,  # the server's own environment is wrong, not the request
    errors.UnknownModel: 404,
    errors.BadConfig: 422,
    errors.BadData: 422,
    errors.HubError: 502,
    errors.ModelNotFound: 404,
    errors.RevisionNotFound: 404,
    errors.AccessDenied: 403,
    errors.ModelGated: 403,
    errors.HubBusy: 503,
    errors.TransferError: 502,
    errors.NoSpace: 507,
    errors.Stopped: 409,
    errors.CacheError: 500,
    errors.NotCached: 404,
    errors.CacheDamaged: 409,
    errors.CacheNotWritable: 409,  # for example a shared one
    errors.ModelInUse: 409,
    errors.LoadError: 422,  # what the request names is no model, adapter or run that can be used
    errors.DoesNotFit: 409,
    errors.MissingPackage: 501,
    errors.JobError: 500,
    errors.JobNotFound: 404,
    errors.WrongJobState: 409,
}
"""An error class that is not here has the status of its nearest parent that is."""

_HTTP_ERRORS: Mapping[int, tuple[str, str, str]] = {
    400: ("bad-request", Message("The request cannot be understood."), ""),
    403: ("forbidden", Message("This server does not allow that."), Message("Reload the page, or log in again.")),
    404: (
        "other-origin",  # where no route is, Jupyter answers: with us it says so of a page that it does not trust
        Message("This server does not take requests from a page of another address."),
        Message("A proxy in between has to pass on the Host that the browser asks for; or set allow_origin."),
    ),
    405: ("method-not-allowed", Message("This address does not take that kind of request."), ""),
    413: ("body-too-large", Message("The body of the request is too large."), Message("At most 1 MB is read.")),
    503: (
        "server-busy",
        Message("Too many requests are waiting."),
        Message("Is the cache on a drive that hangs, or has the system no thread left to give?"),
    ),
}
_UNEXPECTED = ("error", Message("Something went wrong in the server."), Message("The server's log has the details."))


def status_of(error: errors.Qwen3ftError) -> int:
    """Return the HTTP status for `error`."""
    return next(STATUS_OF[cls] for cls in type(error).__mro__ if cls in STATUS_OF)


def authorized(resource: str) -> Callable[[Verb], Verb]:
    """Return jupyter_server's decorator of this name for `resource`; only its types are added."""
    wrap: Callable[[Verb], Verb] = decorator.authorized(resource=resource)
    return wrap


def route_pattern(template: str) -> str:
    """Return the regular expression for a path as `openapi.yaml` writes it.

    >>> route_pattern("/jobs/{id}/log")
    '/qwen3ft/jobs/([^/]+)/log'
    """
    return "/" + ROOT + re.sub(r"\{\w+\}", "([^/]+)", template)


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with."""

    access: ManagerAccess
    watcher: ChangeWatcher
    curves: Curves
    run_curves: RunCurvesOf
    answers: Answers


@web.stream_request_body
class Qwen3FTHandler(APIHandler):
    """Base of our handlers.

    A subclass names its `auth_resource` and decorates each verb itself, `web.authenticated` outside and `authorized`
    inside: `authorized` keeps the first resource it meets, so that an inherited verb would be checked for another one.
    """

    auth_resource: ClassVar[str]
    accepts: ClassVar[Mapping[str, Sequence[Field]]] = {}
    """What each verb takes, in the query or in the body; the others take nothing."""

    def initialize(self, services: Services) -> None:
        """Receive what the routes work with."""
        self.services = services
        self._body = bytearray()

    async def prepare(self) -> None:  # type: ignore[override]  # as in APIHandler itself
        """Authenticate, and refuse a body that is too large before it is read."""
        await super().prepare()
        length = self.request.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise web.HTTPError(413)

    def data_received(self, chunk: bytes) -> None:
        """Keep the body up to the limit; a chunked one announces no length."""
        if len(self._body) <= MAX_BODY_BYTES:
            self._body += chunk

    def given(self) -> Given:
        """Return what the query and the body say.

        Raises:
            BadInput: something else than `accepts` is given, or something is malformed.
        """
        if len(self._body) > MAX_BODY_BYTES:
            raise web.HTTPError(413)
        query = fields.parse_query(self.request.query_arguments)
        return fields.read_fields(
            query, fields.parse_body(bytes(self._body)), self.accepts.get(self.request.method, ())
        )

    async def read(self, call: Callable[[ModelManager], T]) -> T:
        """Run `call` on the manager, off the event loop."""
        return await self.services.access.read(call)

    async def ask(self, call: Callable[[ModelManager], T]) -> T:
        """Run `call`, which asks a hub and changes nothing, off the event loop."""
        return await self.services.access.ask(call)

    async def act(self, call: Callable[[ModelManager], T]) -> T:
        """Run `call`, which changes something, off the event loop; then let the watcher look for the change."""
        try:
            return await self.services.access.act(call)
        finally:
            self.services.watcher.poke()

    def answer(self, value: Mapping[str, object], status: int = 200) -> None:
        """Finish with `value` as JSON."""
        self.set_status(status)
        self.finish(to_json(value))

    @property
    def speaker(self) -> Speaker:
        """Return who speaks to the person who asks: in the language of the page, with the labels of the panel."""
        return Speaker(as_language(self.request.headers.get("Accept-Language", "")), grammar("panel"))

    @property
    def shown_folder(self) -> ShownFolder | None:
        """Return what Jupyter's file browser shows; None where that is no folder of this machine."""
        contents = self.contents_manager
        if not isinstance(contents, FileContentsManager):
            return None
        return ShownFolder(Path(contents.root_dir), contents.allow_hidden)

    def answer_job(self, job: JobSnapshot, status: int = 202) -> None:
        """Finish with a job that has been started, and say where it can be followed."""
        self.set_header("Location", url_path_join(self.base_url, ROOT, "jobs", job.id))
        self.answer(say.answer(job, self.speaker), status)

    def update_api_activity(self) -> None:
        """Count as activity only what changes something: an open panel's polls must not keep a paid machine alive."""
        if self.request.method not in ("GET", "HEAD", "OPTIONS"):
            super().update_api_activity()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with code, message and hint, never with the text of a stranger's exception; Any as in Tornado."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, errors.Qwen3ftError):
            self.set_status(status_of(error))
            told = error.to_dict(self.speaker.language, self.speaker.grammar)
        else:
            code, message, hint = _HTTP_ERRORS.get(status_code, _UNEXPECTED)
            told = {"code": code, "message": self.speaker.say(message), "hint": self.speaker.say(hint)}
        self.finish(to_json(told))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log refusals in one line and surprises with their traceback; never the query, which may hold a token."""
        if isinstance(value, errors.Qwen3ftError):
            self.log.info("%s %s: %s", self.request.method, self.request.path, value.code)
        elif isinstance(value, web.HTTPError):
            self.log.info("%s %s: HTTP %d", self.request.method, self.request.path, value.status_code)
        elif typ is not None and value is not None:
            self.log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))


class AskingHandler(Qwen3FTHandler):
    """Base of handlers that ask hubs or read data: neither goes on for someone who has left."""

    def initialize(self, services: Services) -> None:
        """Receive what the routes work with."""
        super().initialize(services)
        self.has_left = threading.Event()

    def on_connection_close(self) -> None:
        """Stop what is under way."""
        super().on_connection_close()
        self.has_left.set()
