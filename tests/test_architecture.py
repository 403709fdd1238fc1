"""The house: floors that never look up, no two modules that need each other, one owner for every outside thing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import taskexp

PACKAGE = Path(taskexp.__file__).parent
FLOORS = ("words", "plan", "run", "engines", "record", "loop", "doors")
DOORS = ("taskexp", "taskexp.__main__", "taskexp.names", "taskexp.experiment", "taskexp.task", "taskexp.cli")

PUBLIC_NAMES = [
    "ArgumentTypeError",
    "ArgumentValueError",
    "AsyncTaskExecutable",
    "CompletedRuns",
    "DeviceError",
    "EngineError",
    "ExecutableLoop",
    "ExecutableStateError",
    "Fold",
    "Group",
    "Groups",
    "JournalError",
    "MissingExtraError",
    "Point",
    "PointError",
    "PointIndexError",
    "RecordedRun",
    "Results",
    "RunFailed",
    "RunResult",
    "Status",
    "Task",
    "TaskExecutable",
    "TaskExpError",
    "TaskSum",
    "cpu_slots",
    "create_log_fd",
    "gpu_slots",
    "open_results",
]

# What is used, by the beginning of its dotted name, and the modules that may use it.
OWNERS = {
    "tqdm": ("taskexp.run.progress",),
    "sqlite3": ("taskexp.record.journal",),
    "argparse": ("taskexp.cli",),
    "anyio.from_thread": ("taskexp.loop.facade",),
    "subprocess": ("taskexp.run.process", "taskexp.run.spawn"),
    "multiprocessing": ("taskexp.run.process",),
    "asyncio.create_subprocess_exec": ("taskexp.run.process",),
    "asyncio.create_subprocess_shell": ("taskexp.run.process",),
    "os.fork": ("taskexp.run.process",),
    "os.forkpty": ("taskexp.run.process",),
    "os.posix_spawn": ("taskexp.run.spawn",),
    "os.posix_spawnp": ("taskexp.run.spawn",),
    "os.system": (),
    "os.popen": (),
    "os.kill": ("taskexp.run.watchdog",),
    "os.killpg": ("taskexp.run.process", "taskexp.run.signalling"),
    "signal.pidfd_send_signal": ("taskexp.run.signalling",),
    "signal.pthread_kill": ("taskexp.run.process",),
    "os.wait": (),
    "os.waitpid": ("taskexp.run.watchdog",),
    "os.wait4": ("taskexp.run.process",),
    "signal.signal": ("taskexp.run.interrupt", "taskexp.run.suspension", "taskexp.run.watchdog_process"),
    "signal.set_wakeup_fd": ("taskexp.run.interrupt",),
    "signal.siginterrupt": ("taskexp.run.interrupt",),
    "pickle": (),
    "marshal": (),
    "shelve": (),
    "ctypes": ("taskexp.run.posix_spawn",),
    "pandas": ("taskexp.record.table",),
    "duckdb": ("taskexp.record.table",),
    "distributed": ("taskexp.engines.dask",),
    "dask": ("taskexp.engines.dask",),
    "plotly": ("taskexp.record.report.page",),
    "starlette": ("taskexp.record.report.server",),
    "uvicorn": ("taskexp.record.report.server",),
}

SELF_SIGNALLERS = ("taskexp.run.interrupt", "taskexp.run.suspension")

# Methods of any object that do what an owner does.
OWNED_METHODS = {
    "add_signal_handler": ("taskexp.run.interrupt", "taskexp.engines.slurm.shim"),  # a program of its own
    "subprocess_exec": ("taskexp.run.process",),
    "subprocess_shell": ("taskexp.run.process",),
}


@dataclass
class Module:
    """One file of a package, by its dotted name."""

    name: str
    tree: ast.Module
    is_package: bool

    def imports(self) -> Iterator[str]:
        """Name all that is imported, anywhere in the file: `from a import b` is a.b."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{self._origin(node)}.{alias.name}" for alias in node.names)

    def uses(self) -> Iterator[str]:
        """Name all imports, and all attributes of what was imported under its own name or another."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names if alias.asname}
                names |= {alias.name.split(".")[0]: alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {alias.asname or alias.name: f"{self._origin(node)}.{alias.name}" for alias in node.names}
        yield from self.imports()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and (dotted := dotted_name(node, names)) is not None:
                yield dotted

    def methods(self) -> set[str]:
        return {node.attr for node in ast.walk(self.tree) if isinstance(node, ast.Attribute)}

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def dotted_name(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Attribute):
        head = dotted_name(node.value, names)
        return None if head is None else f"{head}.{node.attr}"
    return names.get(node.id) if isinstance(node, ast.Name) else None


def read_package(folder: Path) -> dict[str, Module]:
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = Module(name, ast.parse(path.read_text(encoding="utf-8")), is_package)
    return modules


def floor_of(name: str) -> int:
    """Return the height of a module's floor; a module that stands on none is refused."""
    if name in DOORS or name.startswith("taskexp.cli."):
        return FLOORS.index("doors")
    return FLOORS.index(name.split(".")[1])


def edges(modules: dict[str, Module]) -> dict[str, set[str]]:
    """Return which of the package's modules each one imports."""
    return {name: {target_of(used, modules) for used in module.imports()} - {None} for name, module in modules.items()}


def target_of(used: str, modules: dict[str, Module]) -> str | None:
    """Find the module that an import reaches: `a.b` may be module a.b, or a name in module a."""
    while used and used not in modules:
        used = used.rpartition(".")[0]
    return used or None


def upward_imports(modules: dict[str, Module]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, targets in edges(modules).items()
        for target in sorted(targets)
        if floor_of(target) > floor_of(name)
    ]


def cycle(modules: dict[str, Module]) -> set[str]:
    """Return the modules that need each other: what stays when all that needs nothing else is taken away."""
    graph = edges(modules)
    while free := {name for name, targets in graph.items() if not targets}:
        graph = {name: targets - free for name, targets in graph.items() if name not in free}
    return set(graph)


def trespasses(modules: dict[str, Module]) -> set[str]:
    found = set()
    for name, module in modules.items():
        for used in module.uses():
            for owned, owners in OWNERS.items():
                if f"{used}.".startswith(f"{owned}.") and not is_one_of(name, owners):
                    found.add(f"{name} uses {owned}")
        for method, owners in OWNED_METHODS.items():
            if method in module.methods() and not is_one_of(name, owners):
                found.add(f"{name} uses {method}")
    return found


def is_one_of(name: str, owners: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{owner}.") for owner in owners)


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    return read_package(PACKAGE)


def test_every_module_stands_on_one_of_the_floors(modules):
    assert {floor_of(name) for name in modules} == set(range(len(FLOORS)))


def test_no_floor_imports_a_higher_one(modules):
    assert upward_imports(modules) == []


def test_no_modules_import_each_other(modules):
    assert cycle(modules) == set()


def test_every_outside_thing_has_one_owner(modules):
    kills = {f"{name} uses os.kill" for name in SELF_SIGNALLERS}  # only itself: the next test
    assert trespasses(modules) - kills == set()


@pytest.mark.parametrize("name", SELF_SIGNALLERS)
def test_what_deals_with_signals_signals_no_process_but_its_own(name, modules):
    calls = [
        ast.unparse(node.args[0])
        for node in ast.walk(modules[name].tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "os.kill"
    ]
    mentions = list(modules[name].uses()).count("os.kill")
    assert calls == ["os.getpid()"] * mentions


def test_nothing_is_imported_by_a_computed_name(modules):
    for name, module in modules.items():
        assert "importlib" not in {used.split(".")[0] for used in module.imports()}, name
        assert "__import__" not in {node.id for node in ast.walk(module.tree) if isinstance(node, ast.Name)}, name


@pytest.mark.fault("P10", "U03", "U04")
def test_nothing_is_run_by_a_shell_after_a_fork_or_as_code(modules):
    for name, module in modules.items():
        called = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
        functions = {ast.unparse(node.func) for node in called}
        assert not functions & {"eval", "exec", "compile", "os.execv", "os.execve", "os.startfile"}, name
        keywords = {keyword.arg for node in called for keyword in node.keywords}
        assert "preexec_fn" not in keywords, name
        if name in OWNERS["subprocess"]:
            assert "shell" not in keywords, name


def test_every_module_says_its_job(modules):
    assert [name for name, module in modules.items() if not ast.get_docstring(module.tree)] == []


# ---- the rules see what they must


def broken_house(folder, **files):
    for path, text in {"__init__": "", **files}.items():
        file = folder / "taskexp" / (path.replace("__", "/", 1) if not path.startswith("__") else path)
        file = file.with_name(file.name + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return read_package(folder / "taskexp")


@pytest.mark.parametrize(
    "text",
    [
        "from taskexp.loop.sweep import Sweep",
        "import taskexp.loop.sweep",
        "from taskexp.loop import sweep",
        "from ..loop.sweep import Sweep",
        "from ..loop import sweep as s",
        "def f():\n    from taskexp.loop.sweep import Sweep",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from taskexp.loop.sweep import Sweep",
        "try:\n    import taskexp.loop.sweep as s\nexcept ImportError:\n    pass",
    ],
)
def test_a_look_upward_is_seen_wherever_it_stands(text, tmp_path):
    modules = broken_house(tmp_path, plan__spec=text, loop__sweep="")
    assert upward_imports(modules) == ["taskexp.plan.spec imports taskexp.loop.sweep"]


def test_a_use_of_the_public_names_from_below_is_seen(tmp_path):
    modules = broken_house(tmp_path, plan__spec="from taskexp import Task")
    assert upward_imports(modules) == ["taskexp.plan.spec imports taskexp"]


def test_a_cycle_is_seen_through_any_number_of_modules(tmp_path):
    modules = broken_house(
        tmp_path,
        run__a="def f():\n    from taskexp.run.b import x",
        run__b="from .c import x",
        run__c="from taskexp.run import a",
        run__d="",
    )
    assert cycle(modules) == {"taskexp.run.a", "taskexp.run.b", "taskexp.run.c"}


@pytest.mark.parametrize(
    ("text", "owned"),
    [
        ("import os\nos.kill(1, 2)", "os.kill"),
        ("import os as o\ndef f(): return o.killpg", "os.killpg"),
        ("from os import kill as k", "os.kill"),
        ("import subprocess", "subprocess"),
        ("import asyncio\nasyncio.create_subprocess_exec", "asyncio.create_subprocess_exec"),
        ("def f(loop): loop.subprocess_exec()", "subprocess_exec"),
        ("from signal import signal", "signal.signal"),
        ("import signal\nsignal.signal(2, None)", "signal.signal"),
        ("def f():\n    from tqdm.auto import tqdm", "tqdm"),
        ("import anyio.from_thread", "anyio.from_thread"),
        ("from anyio import from_thread", "anyio.from_thread"),
        ("import sqlite3.dbapi2", "sqlite3"),
    ],
)
def test_a_trespass_is_seen_under_any_name(text, owned, tmp_path):
    modules = broken_house(tmp_path, record__results=text)
    assert trespasses(modules) == {f"taskexp.record.results uses {owned}"}


def test_the_word_signal_alone_is_no_trespass(tmp_path):
    text = "import signal, os\nclass A:\n    def kill(self): self.engine.kill(signal.SIGKILL, os.getpid())"
    assert trespasses(broken_house(tmp_path, record__results=text)) == set()


# ---- the doors


def modules_loaded_by(statement):
    listing = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_taskexp_is_light():
    loaded = modules_loaded_by("import taskexp")
    more = {name.split(".")[0] for name in loaded - modules_loaded_by("import asyncio")}
    assert "taskexp" in more
    assert (
        more
        & {
            "tqdm",
            "sqlite3",
            "argparse",
            "anyio",
            "multiprocessing",
            "pandas",
            "duckdb",
            "plotly",
            "starlette",
            "IPython",
        }
        == set()
    )
    assert not any(name.startswith("taskexp.cli") for name in loaded)


def test_the_public_names_are_these():
    assert taskexp.__all__ == PUBLIC_NAMES


def test_every_public_name_and_every_public_method_is_described():
    silent = []
    for name in taskexp.__all__:
        thing = getattr(taskexp, name)
        # A class that only inherits its text has said nothing about itself.
        silent += [] if (vars(thing).get("__doc__") if isinstance(thing, type) else thing.__doc__) else [name]
        if isinstance(thing, type):
            own = {key: value for key, value in vars(thing).items() if not key.startswith("_")}
            described = {key: value for key, value in own.items() if callable(value) or isinstance(value, property)}
            silent += [f"{name}.{key}" for key, value in described.items() if not value.__doc__]
    assert silent == []


def test_the_types_are_shipped():
    assert (PACKAGE / "py.typed").is_file()
