"""``qwen3ft VERB …``: every verb parses, calls the front door, and prints. Job processes start here, too (``run``)."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.addresses import is_loopback, reachable
from qwen3ft_jupyter.errors import BadInput, Qwen3ftError, Stopped, error_from_dict
from qwen3ft_jupyter.format import columns, size
from qwen3ft_jupyter.job_functions import JOB_FUNCTIONS
from qwen3ft_jupyter.job_lists import job_rows, match_id
from qwen3ft_jupyter.terminal import ProgressLine, follow, stop_on_interrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.jobs import Job, JobContext
    from qwen3ft_jupyter.manager import ModelManager

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error it names, 130 when it was interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets the rest of the line
    options = make_parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.call
    try:
        return verb(options)
    except Stopped:
        _say("stopped; what arrived is kept")
        return INTERRUPTED
    except KeyboardInterrupt:
        _say("")
        return INTERRUPTED
    except Qwen3ftError as error:
        _say(_in_words(error))
        return FAILED
    except BrokenPipeError:  # `qwen3ft list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _in_words(error: Qwen3ftError) -> str:
    lines = [f"qwen3ft: {error.code}: {error.message}", error.hint]
    lines += [f"{name}: {value}" for name, value in error.details.items()]
    return "\n  ".join(line for line in lines if line)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command line prints


def _print(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command line prints


def _print_json(value: object) -> None:
    _print(json.dumps(value, ensure_ascii=False, indent=1))


def _manager(options: argparse.Namespace) -> ModelManager:
    """Return the front door with the options that were given as overrides."""
    from qwen3ft_jupyter.manager import get_model_manager

    overrides: dict[str, Any] = {}
    if "hub" in options:
        overrides["use_modelscope"] = options.hub == "modelscope"
    if "cache_dir" in options:
        overrides["cache_dir"] = options.cache_dir
    if "offline" in options:
        overrides["offline"] = True
    return get_model_manager(**overrides)


def _download(options: argparse.Namespace) -> int:
    manager = _manager(options)
    with ProgressLine() as line, stop_on_interrupt() as stop:
        folder = manager.ensure_model_cached(
            options.name, options.force, revision=options.revision, reporter=line, stop=stop
        )
    _print(folder)
    return 0


def _list(options: argparse.Namespace) -> int:
    models = _manager(options).list_cached_models()
    if options.json:
        _print_json(models)
    elif not models:
        _say("The cache is empty.")
    else:
        rows = [
            [model["model_name"], size(model["size"]), "verified" if model["verified"] else "unverified", model["path"]]
            for model in models
        ]
        _print(columns(["MODEL", "SIZE", "", "FOLDER"], rows))
    return 0


def _verify(options: argparse.Namespace) -> int:
    manager = _manager(options)
    with ProgressLine() as line, stop_on_interrupt() as stop:
        report = manager.verify(options.name, reporter=line, stop=stop)
    for word, paths in (("missing", report.missing), ("wrong", report.wrong), ("not of the model", report.extra)):
        for path in paths:
            _print(f"{word}: {path}")
    if not report.is_ok:
        _say(f"qwen3ft download {options.name} fetches what is missing or wrong.")
        return FAILED
    _print(f"{options.name}: {report.checked_files} files, {size(report.checked_bytes)}, all as they should be")
    return 0


def _evict(options: argparse.Namespace) -> int:
    manager = _manager(options)
    if options.all:
        for model in manager.evict_all():
            _print(f"{model.repo_id}  {size(model.freed_bytes)} freed")
    else:
        _print(f"{options.name}  {size(manager.evict_model(options.name))} freed")
    return 0


def _jobs(options: argparse.Namespace) -> int:
    jobs = job_rows(_manager(options).jobs())
    if options.json:
        _print_json(jobs)
    elif not jobs:
        _say("There are no jobs.")
    else:
        _print(
            columns(
                ["JOB", "STATE", "", "TITLE"], [[job["id"], job["state"], _done(job), job["title"]] for job in jobs]
            )
        )
    return 0


def _done(job: Mapping[str, Any]) -> str:
    progress = job["progress"]
    if not progress or not progress["total"] or job["ended"]:
        return ""
    return f"{min(100, 100 * progress['done'] // progress['total'])}%"


def _job(options: argparse.Namespace) -> Job:
    """Return the job whose id was given, or a part of it that no other job has."""
    manager = _manager(options)
    return manager.job(match_id([job.id for job in manager.jobs()], options.id))


def _stop(options: argparse.Namespace) -> int:
    job = _job(options)
    job.stop()
    _print(f"{job.id} is {job.status().state}")
    return 0


def _resume(options: argparse.Namespace) -> int:
    job = _job(options).resume()
    _say(f"Follow it: qwen3ft jobs follow {job.id}")
    _print(f"{job.id} is {job.status().state}")
    return 0


def _forget(options: argparse.Namespace) -> int:
    _job(options).forget()
    return 0


def _log(options: argparse.Namespace) -> int:
    job = _job(options)
    chunk = job.log()
    while chunk.text:
        sys.stdout.write(chunk.text)
        chunk = job.log(chunk.next_offset)
    return 0


def _follow(options: argparse.Namespace) -> int:
    return _see_through(_job(options))


def _finetune(options: argparse.Namespace) -> int:
    from qwen3ft_jupyter.finetune import read_config

    job = _manager(options).fine_tune(read_config(Path(options.config)))
    if options.detach:
        _say(f"Follow it: qwen3ft jobs follow {job.id}")
        _print(job.id)
        return 0
    return _see_through(job)


def _see_through(job: Job) -> int:
    """Show a job until it ends. An interrupt ends the showing alone."""
    try:
        with ProgressLine() as line:
            status = follow(job, line)
    except KeyboardInterrupt:
        _say(f"The job goes on. qwen3ft jobs follow {job.id} shows it again, qwen3ft jobs stop {job.id} stops it.")
        return INTERRUPTED
    if status.error:
        raise error_from_dict(status.error)
    if status.result is None:
        _say(f"The job is {status.state}. qwen3ft jobs resume {job.id} goes on with it.")
        return FAILED
    _print(str(status.result.get("output_dir") or status.result.get("folder") or job.id))
    return 0


def _mirror(options: argparse.Namespace) -> int:
    from qwen3ft_jupyter.mirror import Mirror

    is_open = is_loopback(options.host) or options.no_token
    token = None if is_open else secrets.token_urlsafe(24)
    mirror = Mirror(cache_dir=_manager(options).settings.cache_dir, host=options.host, port=options.port, token=token)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(mirror)
        except OSError as error:
            raise BadInput(f"Cannot listen on {options.host}:{options.port}: {error.strerror}.") from error
        stop = stack.enter_context(stop_on_interrupt())
        url = reachable(mirror.url)
        _print(url)
        for line in _how_to_use_mirror(url, token, is_local=is_loopback(options.host)):
            _say(line)
        stop.wait()
    return 0


def _how_to_use_mirror(url: str, token: str | None, *, is_local: bool) -> list[str]:
    lines = ["Set MODELSCOPE_ENDPOINT or HF_ENDPOINT to this address to download from here. Ctrl-C ends it."]
    if token is not None:
        lines += [
            "Clients need this mirror's token; it is made anew at each start and shown only here:",
            f"  MODELSCOPE_ENDPOINT={url} MODELSCOPE_API_TOKEN={token}",
            f"  HF_ENDPOINT={url} HF_TOKEN={token}",
        ]
    elif not is_local:
        lines.append("No token is asked for: whoever reaches this address can download every model of this cache.")
    return lines


def _practice(options: argparse.Namespace) -> int:
    from qwen3ft_jupyter.practice import make_practice

    with ProgressLine() as line, stop_on_interrupt() as stop:
        practice = make_practice(Path(options.folder), reporter=line, stop=stop)
    _print(str(practice.folder))
    return 0


def _status(options: argparse.Namespace) -> int:
    description = _manager(options).describe()
    if options.json:
        _print_json(description.to_dict())
    else:
        _print(str(description))
    return 0


def _run(options: argparse.Namespace) -> int:
    import logging

    from qwen3ft_jupyter.jobs import worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    return worker.run(Path(options.folder), {kind: _job_function(kind) for kind in JOB_FUNCTIONS})


def _job_function(kind: str) -> Callable[[dict[str, Any], JobContext], Mapping[str, Any]]:
    """Return the function for a kind of job, under the settings that its starter had."""

    def call(params: dict[str, Any], context: JobContext) -> Mapping[str, Any]:
        from qwen3ft_jupyter.manager import get_model_manager

        manager = get_model_manager(**params.get("settings", {}), is_trusted=params.get("is_trusted", True))
        return JOB_FUNCTIONS[kind](manager, params, context)

    return call


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--cache-dir", metavar="DIR", help="where models are kept (MODEL_CACHE_DIR)")
    common.add_argument("--hub", choices=["modelscope", "huggingface"], help="which hub to ask first (USE_MODELSCOPE)")
    common.add_argument("--offline", action="store_true", help="ask no hub at all (QWEN3FT_OFFLINE)")
    parser = argparse.ArgumentParser(
        prog="qwen3ft", description="Download, load and fine-tune Qwen3 models.", parents=[common]
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(
        name: str, call: Callable[[argparse.Namespace], int], help_: str, to: Any = verbs
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = to.add_parser(name, help=help_, description=help_, parents=[common])
        added.set_defaults(call=call)
        return added

    download = verb("download", _download, "download a model; the last line on stdout is its folder")
    download.add_argument("name", metavar="NAME", help="for example Qwen/Qwen3-0.6B")
    download.add_argument("--revision", help="branch, tag or commit; the hub's default if left out")
    download.add_argument("--force", action="store_true", help="fetch every file again although the model is cached")
    verb("list", _list, "list the cached models").add_argument("--json", action="store_true")
    verb("verify", _verify, "read every byte of a cached model again").add_argument("name", metavar="NAME")
    evict = verb("evict", _evict, "delete cached models").add_mutually_exclusive_group(required=True)
    evict.add_argument("name", metavar="NAME", nargs="?")
    evict.add_argument(
        "--all", action="store_true", help="delete every model we downloaded; pinned and unverified stay"
    )

    jobs = verb("jobs", _jobs, "list the jobs; or stop, resume, forget, log, follow one")
    jobs.add_argument("--json", action="store_true")
    about = jobs.add_subparsers(metavar="[VERB ID]")
    verb("stop", _stop, "ask a job to stop", about).add_argument("id", metavar="ID")
    verb("resume", _resume, "go on with a job that has ended early", about).add_argument("id", metavar="ID")
    verb("forget", _forget, "delete a job's record and log", about).add_argument("id", metavar="ID")
    verb("log", _log, "print a job's log", about).add_argument("id", metavar="ID")
    verb("follow", _follow, "show a job until it ends; Ctrl-C does not stop it", about).add_argument("id", metavar="ID")

    finetune = verb("finetune", _finetune, "fine-tune a model as a job and follow it; Ctrl-C does not stop it")
    finetune.add_argument("config", metavar="CONFIG.yaml")
    finetune.add_argument("--detach", action="store_true", help="print the job's id and return at once")
    mirror = verb("mirror", _mirror, "serve the cache as a hub, for this machine or others")
    mirror.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    mirror.add_argument("--no-token", action="store_true", help="ask for no token where others reach --host, too")
    mirror.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    verb("practice", _practice, "make the practice model and its data").add_argument("folder", metavar="DIR")
    verb("status", _status, "say which hub and cache are in use, and why").add_argument("--json", action="store_true")
    verb("run", _run, "run a job in this process (job processes do this)").add_argument("folder", metavar="FOLDER")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from qwen3ft_jupyter import __version__

        _print(__version__)
        parser.exit()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # between the last verb and the end of the process
        sys.exit(main())
