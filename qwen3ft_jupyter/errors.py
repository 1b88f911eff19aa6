"""The errors a user can meet.

    Qwen3ftError
    ├── BadInput              a value the user gave
    │   ├── BadSetting        an environment variable, .env line or trait
    │   ├── BadName           a repo id or file name that is not safe or not well formed
    │   ├── UnknownModel      a name nobody published
    │   ├── BadConfig         a field of a fine-tune config
    │   └── BadData           a row or file of training data
    ├── HubError              what a hub answered
    │   ├── ModelNotFound
    │   ├── AccessDenied      private, or the token is missing or wrong
    │   ├── ModelGated        the licence has to be accepted first
    │   ├── RevisionNotFound
    │   ├── HubUnreachable    (transient)
    │   ├── HubBusy           (transient) 429 and 5xx
    │   └── BadListing        the hub's answer cannot be trusted or understood
    ├── TransferError         bytes on their way
    │   ├── SourceFailed      (transient)
    │   ├── WrongBytes        size or digest is not the listing's
    │   ├── NoSpace
    │   └── Stopped           someone asked for it
    ├── CacheError            what is on disk
    │   ├── NotCached
    │   ├── CacheDamaged
    │   ├── CacheNotWritable
    │   └── ModelInUse
    ├── LoadError             turning files into a model
    │   ├── DoesNotFit
    │   ├── UnsafeModel
    │   └── MissingPackage
    └── JobError
        ├── JobNotFound
        ├── WrongJobState
        └── JobFailed

A message says what failed and on what; the hint says what to do. Neither ever holds a folder of the user's machine
or a secret: both may be shown in a browser. Folders go into ``details``, which only the Python API and the command
line show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from qwen3ft_jupyter.messages import as_message, conceal, from_json, render, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qwen3ft_jupyter.messages import Grammar, Language, Value


class Qwen3ftError(Exception):
    """Base of every error this package raises on purpose.

    Message and hint are templates of `messages.Message`, filled from the same `values`:

    >>> error = NotCached("{name} is not in the cache.", name="Qwen/Qwen3-0.6B")
    >>> error.message, error.message.template
    ('Qwen/Qwen3-0.6B is not in the cache.', '{name} is not in the cache.')
    """

    code: ClassVar[str] = "error"
    is_transient: ClassVar[bool] = False

    def __init__(
        self, message: str, *, hint: str = "", details: Mapping[str, str] | None = None, **values: Value
    ) -> None:
        self.message = as_message(message, values)
        super().__init__(self.message)
        self.hint = as_message(hint, values)
        self.details = {name: conceal(text) for name, text in (details or {}).items()}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self.details))

    def to_dict(self, language: Language = "en", grammar: Grammar | None = None) -> dict[str, str]:
        """Return what a face shows: code, message and hint, as sentences in a language."""
        message, hint = (render(text, language, grammar) for text in (self.message, self.hint))
        return {"code": self.code, "message": message, "hint": hint}

    def to_json(self) -> dict[str, Any]:
        """Return what another process may read: code, message and hint, not yet in any language."""
        return {"code": self.code, "message": to_json(self.message), "hint": to_json(self.hint)}


def _rebuild(cls: type[Qwen3ftError], message: str, hint: str, details: Mapping[str, str]) -> Qwen3ftError:
    return cls(message, hint=hint, details=details)


def error_classes(base: type[Qwen3ftError] = Qwen3ftError) -> Iterator[type[Qwen3ftError]]:
    """Yield `base` and every class below it, parents first."""
    yield base
    for child in base.__subclasses__():
        yield from error_classes(child)


def error_from_json(data: Mapping[str, Any]) -> Qwen3ftError:
    """Rebuild the error another process wrote down; an unknown code becomes a plain `Qwen3ftError`."""
    classes = {cls.code: cls for cls in error_classes()}
    cls = classes.get(str(data.get("code", "")), Qwen3ftError)
    return cls(from_json(data.get("message", "unknown error")), hint=from_json(data.get("hint", "")))


class BadInput(Qwen3ftError):
    """A value the user gave cannot be used; the message names the field."""

    code = "bad-input"


class BadSetting(BadInput):
    """A setting has a value that is not accepted; the message names the variable, its value and what is accepted."""

    code = "bad-setting"


class BadName(BadInput):
    """A repo id or a file name is malformed or unsafe."""

    code = "bad-name"


class UnknownModel(BadInput):
    """A name in Qwen's namespace or ours that nobody published; the hint names the nearest one that exists."""

    code = "unknown-model"


class BadConfig(BadInput):
    """One or more fields of a fine-tune config are wrong; the message names every one."""

    code = "bad-config"


class BadData(BadInput):
    """Training data cannot be read or mapped; the message names the file and the row."""

    code = "bad-data"


class HubError(Qwen3ftError):
    """A hub answered with a refusal or with something unusable."""

    code = "hub-error"


class ModelNotFound(HubError):
    """The hub has no such repo."""

    code = "model-not-found"


class AccessDenied(HubError):
    """The repo is private, or the token is missing, wrong or expired."""

    code = "access-denied"


class ModelGated(HubError):
    """The repo's licence has to be accepted on the hub's page first."""

    code = "model-gated"


class RevisionNotFound(HubError):
    """The repo exists, the branch, tag or commit does not."""

    code = "revision-not-found"


class HubUnreachable(HubError):
    """No connection to the hub: no network, name lookup, proxy or certificate."""

    code = "hub-unreachable"
    is_transient = True


class HubBusy(HubError):
    """The hub asks to wait (429) or is failing (5xx)."""

    code = "hub-busy"
    is_transient = True


class BadListing(HubError):
    """The hub's list of files is garbled, contradicts itself or names unsafe files."""

    code = "bad-listing"


class TransferError(Qwen3ftError):
    """Bytes did not arrive."""

    code = "transfer-error"


class SourceFailed(TransferError):
    """A source broke off, stalled or refused; another try or another source may do."""

    code = "source-failed"
    is_transient = True


class WrongBytes(TransferError):
    """The bytes received are not the ones listed, and no source has the right ones."""

    code = "wrong-bytes"


class NoSpace(TransferError):
    """The volume has no room; the message names the missing bytes."""

    code = "no-space"


class Stopped(TransferError):
    """Someone asked for the work to stop; what arrived is kept."""

    code = "stopped"


class CacheError(Qwen3ftError):
    """The cache on disk cannot do what was asked."""

    code = "cache-error"


class NotCached(CacheError):
    """The model is not in the cache."""

    code = "not-cached"


class CacheDamaged(CacheError):
    """Files of a cached model are missing or differ from their digest."""

    code = "cache-damaged"


class CacheNotWritable(CacheError):
    """The cache folder cannot be written."""

    code = "cache-not-writable"


class ModelInUse(CacheError):
    """A running job uses the model."""

    code = "model-in-use"


class LoadError(Qwen3ftError):
    """A cached model cannot be loaded."""

    code = "load-error"


class DoesNotFit(LoadError):
    """The model needs more memory than there is; the hint proposes what fits."""

    code = "does-not-fit"


class UnsafeModel(LoadError):
    """Loading would run code or unpickle data from the repo."""

    code = "unsafe-model"


class MissingPackage(LoadError):
    """An optional package is not installed; the hint is the command that installs it."""

    code = "missing-package"


class JobError(Qwen3ftError):
    """A job cannot do what was asked."""

    code = "job-error"


class JobNotFound(JobError):
    """No job has this id."""

    code = "job-not-found"


class WrongJobState(JobError):
    """The job is in a state in which this cannot be done, for example resuming a running one."""

    code = "wrong-job-state"


class JobFailed(JobError):
    """The job ended without a result: killed, out of memory, or an unexpected error that its log shows."""

    code = "job-failed"


def unexpected(error: BaseException) -> Qwen3ftError:
    """Name the kind of error but not its text, which may hold anything and is shown in browsers; the log has it."""
    if isinstance(error, MemoryError):
        return JobFailed("Memory ran out.", hint="Close other notebooks, or ask for less.")
    if isinstance(error, ModuleNotFoundError):
        return MissingPackage(
            "The job's Python lacks the package {package}.", hint="pip install {package}", package=error.name
        )
    return JobFailed(
        "Unexpected error: {kind}.", hint="The end of the job's log shows where and why.", kind=type(error).__name__
    )
