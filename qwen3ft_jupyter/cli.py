"""``qwen3ft VERB …``: every verb parses, calls the front door, and prints."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen3ft_jupyter.cache_lists import fetch_facts, read_speed
from qwen3ft_jupyter.cli_cache import FAILED, add_cache_verbs, open_manager
from qwen3ft_jupyter.errors import BadInput, Qwen3ftError, Stopped, error_from_json
from qwen3ft_jupyter.format import columns, size
from qwen3ft_jupyter.job_lists import job_rows, match_id, shown_state
from qwen3ft_jupyter.terminal import ProgressLine, follow, say, show, show_json, stop_on_interrupt
from qwen3ft_jupyter.words import tr

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qwen3ft_jupyter.jobs import Job

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 for an error it names, 130 when it was interrupted."""
    atexit.register(gc.freeze)  # the interpreter's last collection is spared some 50,000 objects, 25 to 50 ms
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets the rest of the line
    options = make_parser().parse_args(arguments)
    verb: Callable[[argparse.Namespace], int] = options.call
    try:
        return verb(options)
    except Stopped:
        say(tr("stopped; what arrived is kept"))
        return INTERRUPTED
    except KeyboardInterrupt:
        say("")
        return INTERRUPTED
    except Qwen3ftError as error:
        say(_in_words(error))
        return FAILED
    except BrokenPipeError:  # `qwen3ft list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _in_words(error: Qwen3ftError) -> str:
    lines = [f"qwen3ft: {error.code}: {error.message}", error.hint]
    lines += [f"{name}: {value}" for name, value in error.details.items()]
    return "\n  ".join(line for line in lines if line)


def _jobs(options: argparse.Namespace) -> int:
    jobs = job_rows(open_manager(options).jobs())
    if options.json:
        show_json(jobs)
    elif not jobs:
        say(tr("There are no jobs."))
    else:
        head = (tr("Job"), tr("State"), "", tr("Title"))
        rows = [(job["id"], tr(shown_state(job)), _done(job), job["title"]) for job in jobs]
        show(columns([title.upper() for title in head], rows))
    return 0


def _done(job: Mapping[str, Any]) -> str:
    progress = job["progress"]
    if not progress or not progress["total"] or job["ended"]:
        return ""
    return f"{min(100, 100 * progress['done'] // progress['total'])}%"


def _job(options: argparse.Namespace) -> Job:
    """Return the job whose id was given, or a part of it that no other job has."""
    manager = open_manager(options)
    return manager.job(match_id([job.id for job in manager.jobs()], options.id))


def _stop(options: argparse.Namespace) -> int:
    job = _job(options)
    job.stop()
    show(tr("{id} is {state}", id=job.id, state=tr(job.status().state)))
    return 0


def _pause(options: argparse.Namespace) -> int:
    job = _job(options)
    job.pause()
    say(tr("Go on with it: {command}", command=f"qwen3ft jobs resume {job.id}"))
    show(tr("{id} is paused", id=job.id))
    return 0


def _limit(options: argparse.Namespace) -> int:
    speed, job = read_speed(options.speed), _job(options)
    job.limit(speed)
    if speed is None:
        show(tr("{id} has no speed limit", id=job.id))
    else:
        show(tr("{id} takes at most {speed}/s", id=job.id, speed=size(speed)))
    return 0


def _resume(options: argparse.Namespace) -> int:
    job = _job(options).resume()
    say(tr("Follow it: {command}", command=f"qwen3ft jobs follow {job.id}"))
    show(tr("{id} is {state}", id=job.id, state=tr(job.status().state)))
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

    job = open_manager(options).fine_tune(read_config(Path(options.config)))
    if options.detach:
        say(tr("Follow it: {command}", command=f"qwen3ft jobs follow {job.id}"))
        show(job.id)
        return 0
    return _see_through(job)


def _see_through(job: Job) -> int:
    """Show a job until it ends. An interrupt ends the showing alone."""
    try:
        with ProgressLine() as line:
            status = follow(job, line)
    except KeyboardInterrupt:
        follow_again, stop = f"qwen3ft jobs follow {job.id}", f"qwen3ft jobs stop {job.id}"
        say(tr("The job goes on. {follow} shows it again, {stop} stops it.", follow=follow_again, stop=stop))
        return INTERRUPTED
    if status.error:
        raise error_from_json(status.error)
    if status.result is None:
        command = f"qwen3ft jobs resume {job.id}"
        say(tr("The job is {state}. {command} goes on with it.", state=tr(status.state), command=command))
        return FAILED
    for fact, value in fetch_facts(status.result):
        say(f"{fact}: {value}")
    show(str(status.result.get("output_dir") or status.result.get("folder") or job.id))
    return 0


def _mirror(options: argparse.Namespace) -> int:
    import secrets

    from qwen3ft_jupyter.mirror import Mirror, is_loopback, reachable

    is_open = is_loopback(options.host) or options.no_token
    token = None if is_open else secrets.token_urlsafe(24)
    cache = open_manager(options).cache
    mirror = Mirror(
        cache_dir=cache.root,
        shared_dirs=cache.shared_dirs,
        trust_manifests=cache.trust_manifests,
        host=options.host,
        port=options.port,
        token=token,
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(mirror)
        except OSError as error:
            raise BadInput(f"Cannot listen on {options.host}:{options.port}: {error.strerror}.") from error
        stop = stack.enter_context(stop_on_interrupt())
        url = reachable(mirror.url)
        show(url)
        for line in _how_to_use_mirror(url, token, is_local=is_loopback(options.host)):
            say(line)
        stop.wait()
    return 0


def _how_to_use_mirror(url: str, token: str | None, *, is_local: bool) -> list[str]:
    from qwen3ft_jupyter.mirror import client_settings

    settings = client_settings(url, token)

    def line(*names: str) -> str:
        return "  " + " ".join(f"{name}={settings[name]}" for name in names if name in settings)

    lines = ["To download from here, set one of these where the models are wanted. Ctrl-C ends it."]
    if token is not None:
        lines.append("The token in them is made anew at each start and shown only here.")
    lines += [
        line("QWEN3FT_MIRRORS", "QWEN3FT_MIRROR_TOKENS"),
        line("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN"),
        line("HF_ENDPOINT", "HF_TOKEN"),
    ]
    if token is None and not is_local:
        lines.append("No token is asked for: whoever reaches this address can download every model of this cache.")
    return lines


def _practice(options: argparse.Namespace) -> int:
    from qwen3ft_jupyter.practice import make_practice

    show(str(make_practice(Path(options.folder)).folder))
    return 0


def _status(options: argparse.Namespace) -> int:
    description = open_manager(options).describe()
    if options.json:
        show_json(description.to_dict())
    else:
        show(str(description))
    return 0


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

    add_cache_verbs(verb)
    jobs = verb("jobs", _jobs, "list the jobs; or stop, pause, resume, slow down, forget, log, follow one")
    jobs.add_argument("--json", action="store_true")
    about = jobs.add_subparsers(metavar="[VERB ID]")
    verb("stop", _stop, "ask a job to stop", about).add_argument("id", metavar="ID")
    verb("pause", _pause, "let a download, check or repair rest", about).add_argument("id", metavar="ID")
    verb("resume", _resume, "go on with a job that rests or has ended early", about).add_argument("id", metavar="ID")
    limit = verb("limit", _limit, "change how fast a download, check or repair may be", about)
    limit.add_argument("id", metavar="ID")
    limit.add_argument("speed", metavar="SPEED", help="bytes a second, for example 20MB, or none")
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
    verb("practice", _practice, "copy the practice model and its data to a folder").add_argument(
        "folder", metavar="DIR"
    )
    verb("status", _status, "say which hub and cache are in use, and why").add_argument("--json", action="store_true")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from qwen3ft_jupyter import __version__

        show(__version__)
        parser.exit()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # between the last verb and the end of the process
        sys.exit(main())
