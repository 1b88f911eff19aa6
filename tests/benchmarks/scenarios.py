"""What is measured: each function makes its model, lets the programs run in turns and prints one table or two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.benchmarks import calls, mirrors, programs
from tests.benchmarks.measuring import download
from tests.benchmarks.models import MB, make_model, make_small_files
from tests.benchmarks.origin import Behaviour
from tests.benchmarks.serving import serving
from tests.benchmarks.tables import Column, Row, print_downloads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.benchmarks.measuring import Run
    from tests.benchmarks.models import Model
    from tests.benchmarks.programs import Program
    from tests.benchmarks.serving import Origin

CONNECTIONS: Final = 16
CONNECTION_CAP: Final = 20 * MB
SERVER_CAP: Final = 60 * MB
LATENCY_S: Final = 0.2
SMALL_COUNT: Final = 60
DROP_SHARE: Final = 0.02
LONG_S: Final = 10.0
"""What took longer is not run again: it is the cap that takes the time, and it does not vary."""

_WIRE = (
    Column("requests", lambda run: str(run.requests)),
    Column("wire MB", lambda run: f"{run.wire_bytes / MB:.0f}"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    scratch: Path
    size: int
    """Bytes of the model."""
    large_size: int
    """Bytes of the model whose download's memory is looked at."""
    models: int
    """Cached models that are listed."""
    clients: int
    """That fetch from our mirror at once."""
    rounds: int

    def model(self) -> Model:
        """Make the model most scenarios download, once; return it."""
        folder = self.scratch / "model"
        if folder not in _made:
            _made[folder] = make_model(folder, self.size)
        return _made[folder]


_made: dict[Path, Model] = {}


def uncapped(plan: Plan) -> None:
    """Download as fast as the machine can."""
    names = (programs.OURS, programs.FLOOR, programs.HF, programs.HF_TUNED, programs.MODELSCOPE)
    names += (programs.MODELSCOPE_TUNED, programs.ARIA2C, programs.ARIA2C_PAIR, programs.CURL)
    model = plan.model()
    with serving(model.folder) as origin:
        rows = _in_turns(names, [origin], model, plan.rounds)
    print_downloads("download, no limit", rows, model.size, *_WIRE)


def per_connection(plan: Plan) -> None:
    """Download from a hub that limits each connection, as both hubs do."""
    names = (programs.OURS, programs.FLOOR, programs.ARIA2C, programs.ARIA2C_PAIR, programs.HF, programs.HF_TUNED)
    names += (programs.MODELSCOPE, programs.MODELSCOPE_TUNED, programs.CURL)
    model = plan.model()
    with serving(model.folder, Behaviour(per_connection=CONNECTION_CAP)) as origin:
        rows = _in_turns(names, [origin], model, plan.rounds)
    best = CONNECTIONS * CONNECTION_CAP
    used = Column(f"of {CONNECTIONS}", lambda run: f"{100 * model.size / (best * run.wall):.0f}%")
    title = f"download, {CONNECTION_CAP // MB} MB/s a connection; share of {CONNECTIONS} connections x limit"
    print_downloads(title, rows, model.size, used, *_WIRE)


def two_hubs(plan: Plan) -> None:
    """Download from two hubs, each of which limits all connections together."""
    model = plan.model()
    limit = Behaviour(per_server=SERVER_CAP)
    both = (programs.OURS, programs.FLOOR, programs.ARIA2C_HUBS)
    single = (programs.OURS_ONE_HUB, programs.ARIA2C, programs.HF, programs.MODELSCOPE)
    with serving(model.folder, limit) as one, serving(model.folder, limit) as other:
        rows = _in_turns(both, [one, other], model, plan.rounds) + _in_turns(single, [one], model, plan.rounds)
    title = f"download, {SERVER_CAP // MB} MB/s a hub over all connections: from two hubs, then from one"
    print_downloads(title, rows, model.size, *_WIRE)


def small_files(plan: Plan) -> None:
    """Download many small files from far away."""
    names = (programs.OURS, programs.HF, programs.HF_TUNED, programs.MODELSCOPE, programs.MODELSCOPE_TUNED)
    names += (programs.ARIA2C_MANY, programs.CURL_MANY)
    model = make_small_files(plan.scratch / "small", SMALL_COUNT)
    with serving(model.folder, Behaviour(latency_s=LATENCY_S)) as origin:
        rows = _in_turns(names, [origin], model, plan.rounds)
    title = f"{SMALL_COUNT} small files, {1000 * LATENCY_S:.0f} ms a request"
    print_downloads(title, rows, model.size, *_WIRE)


def drops(plan: Plan) -> None:
    """Download over a link that breaks."""
    names = (programs.OURS, programs.HF, programs.MODELSCOPE, programs.MODELSCOPE_TUNED, programs.ARIA2C, programs.CURL)
    model = plan.model()
    with serving(model.folder, Behaviour(drop_share=DROP_SHARE)) as origin:
        rows = _in_turns(names, [origin], model, plan.rounds)
    share = f"{100 * DROP_SHARE:.0f} % of the bodies"
    print_downloads(f"{share}, and the first of each large file, broken off by a reset", rows, model.size, *_WIRE)


def memory(plan: Plan) -> None:
    """Look at the memory of a large download."""
    model = make_model(plan.scratch / "large", plan.large_size, is_sparse=True)
    with serving(model.folder) as origin:
        rows = _in_turns((programs.OURS, programs.FLOOR), [origin], model, 1)
    print_downloads(f"{model.size / MB:.0f} MB, no limit", rows, model.size, *_WIRE)


def warm(plan: Plan) -> None:
    """Ask again for what is cached."""
    model = plan.model()
    with serving(model.folder) as origin:
        calls.compare_warm_calls(origin.url, model)


def listing(plan: Plan) -> None:
    """List a large cache."""
    calls.compare_listings(plan.models)


def crowd(plan: Plan) -> None:
    """Let many clients fetch from our mirror."""
    mirrors.measure_crowds([30, plan.clients])


SCENARIOS: Final[dict[str, Callable[[Plan], None]]] = {
    "uncapped": uncapped,
    "connection": per_connection,
    "hubs": two_hubs,
    "small": small_files,
    "drops": drops,
    "warm": warm,
    "list": listing,
    "memory": memory,
    "mirror": crowd,
}


def _in_turns(names: Sequence[Program], origins: Sequence[Origin], model: Model, rounds: int) -> list[Row]:
    """Let each program run `rounds` times, one after another, so that a slow minute meets all of them."""
    runs: dict[str, list[Run]] = {program.name: [] for program in names}
    for _ in range(rounds):
        for program in names:
            done = runs[program.name]
            if program.is_here and not any(run.wall > LONG_S for run in done):
                done.append(download(program, origins, model))
    return [Row(program, runs[program.name]) for program in names]
