"""The shape of the house: which room may know which, and what may be imported when."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "qwen3ft_jupyter"

LEVELS = [
    ["reasons", "paths", "mounts", "lab_language"],
    ["messages"],
    ["errors", "processes"],
    ["work", "disk"],
    ["segments"],
    ["settings"],
    ["catalog"],
    ["hubs"],
    ["transfer"],
    ["upload"],
    ["cache"],
    ["download"],
    ["mirror"],
    ["practice"],
    ["loading"],
    ["finetune"],
    ["jobs"],
    ["dlc"],
    ["manager"],
    ["faces"],
    ["server", "notebook", "cli"],
    ["__main__", "__init__"],
]
LONGEST_CHAIN = 9
"""How many modules may import each other in a row: every one waits for all below it, and so does whoever reads it."""
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

HEAVY = [
    "torch",
    "transformers",
    "peft",
    "accelerate",
    "bitsandbytes",
    "datasets",
    "modelscope",
    "modelscope_hub",
    "huggingface_hub",
]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("qwen3ft_jupyter"):
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("qwen3ft_jupyter.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path}: relative import"
    return rooms - {"_version", "__version__"}


MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.name != "_version.py" and "labextension" not in path.parts
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    for other in imported_rooms(path) - {room}:
        assert LEVEL_OF[other] < LEVEL_OF[room], f"{room} must not know {other}"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imported_at_once(tree: ast.AST) -> set[str]:
    """Return what is imported when the module is: not in functions, not for the type checker alone."""
    names = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            names |= {name for other in node.orelse for name in imported_at_once(other)}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names |= imported_at_once(node)
    return names


def test_no_chain_of_imports_is_long_or_closed() -> None:
    known = {name_of(path): imported_at_once(ast.parse(path.read_text("utf-8"))) for path in MODULES}
    graph = {name: {other for other in found if other in known} for name, found in known.items()}

    chains: dict[str, list[str]] = {}
    for name in graphlib.TopologicalSorter(graph).static_order():  # raises CycleError
        chains[name] = [name, *max((chains[other] for other in graph[name]), key=len, default=[])]

    longest = max(chains.values(), key=len)
    assert len(longest) <= LONGEST_CHAIN, " > ".join(longest)


@pytest.mark.parametrize("path", sorted((PACKAGE / "cache" / "own").glob("*.py")), ids=lambda path: path.name)
def test_our_models_know_nothing_of_other_tools_caches(path: Path) -> None:
    assert "qwen3ft_jupyter.cache.others" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    "statement",
    [
        "import qwen3ft_jupyter",
        "import qwen3ft_jupyter; qwen3ft_jupyter.get_model_manager",
        "import qwen3ft_jupyter; qwen3ft_jupyter.FineTuneConfig",
        "import qwen3ft_jupyter; qwen3ft_jupyter._jupyter_server_extension_points()",
        "import qwen3ft_jupyter.cli",
        "import qwen3ft_jupyter.server.app",
        (
            "from IPython.core.interactiveshell import InteractiveShell as S; import qwen3ft_jupyter as q;"
            " q.load_ipython_extension(S.instance())"
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    """A heavy import in the server makes JupyterHub's spawns time out; in %load_ext it makes every kernel slow."""
    heavy = HEAVY if "FineTuneConfig" in statement else [*HEAVY, "pydantic"]
    code = f"{statement}\nimport sys\nprint(*(name for name in {heavy!r} if name in sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_importing_the_package_alone_costs_no_other_import() -> None:
    code = "import sys; before = set(sys.modules); import qwen3ft_jupyter; print(*set(sys.modules) - before)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert packages - {"qwen3ft_jupyter"} <= sys.stdlib_module_names


def test_nothing_posix_only_is_imported_at_module_level() -> None:
    """macOS and Windows import it, download and load."""
    posix = {"fcntl", "pwd", "grp", "resource", "termios", "pty"}
    for path in MODULES:
        for node in ast.parse(path.read_text("utf-8")).body:
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            assert not names & posix, path
