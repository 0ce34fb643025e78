"""What travels into containers: modules that import each other, the standard library of Python 3.9, nothing else."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import attendant_jobs
import pytest

import gittrack
from gittrack.attendant import zipped

PACKAGE = Path(gittrack.__file__).parent
SOURCES = {name: Path(source) for name, source in zipped.members()}
MODULES = {
    name[: -len(".py")].replace("/", ".").removesuffix(".__init__"): source
    for name, source in SOURCES.items()
    if name.startswith("gittrack/")
}
OURS = [name for name in MODULES if not name.startswith("gittrack.recorder") and name != "gittrack"]
# Asked for by name when they are needed, and missed with a clear word where they are not there.
LATE = {"gittrack.config.secret_rules", "tomllib", "glob", "csv", "platform", "ctypes"} | {
    name
    for name in MODULES
    if name.startswith(("gittrack.attendant.", "gittrack.record.")) or name == "gittrack.compare.sent"
}
NEVER_LOADED = {"gittrack.record.documents": {"yaml"}}


def imports(source: Path) -> tuple[set[str], set[str]]:
    """Modules that are imported at the top (not those for the type checker), and those that lazy() is asked for."""
    top, late = set(), set()
    tree = ast.parse(source.read_text(), feature_version=(3, 9))
    for node in tree.body:
        if isinstance(node, ast.Import):
            top |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            top |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazy":
            late |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return top, late


@pytest.mark.parametrize("module", OURS)
def test_a_module_that_travels_imports_what_travels_or_the_standard_library(module: str) -> None:
    top, late = imports(MODULES[module])
    ours = {name for name in top if name.partition(".")[0] == "gittrack"}
    known = {
        f"gittrack.{path.relative_to(PACKAGE).with_suffix('')}".replace("/", ".") for path in PACKAGE.rglob("*.py")
    }
    assert {name for name in ours if name in known} <= set(MODULES)
    others = {name.partition(".")[0] for name in top} - {"gittrack", "__future__"}
    assert others - NEVER_LOADED.get(module, set()) <= set(sys.stdlib_module_names)
    assert late <= LATE


@pytest.mark.parametrize("module", [name for name in OURS if name != "gittrack.lazy"])
def test_a_module_that_travels_is_read_as_text_by_the_oldest_python(module: str) -> None:
    """Annotations that only a later Python can evaluate must not be evaluated."""
    source = MODULES[module].read_text()
    assert "from __future__ import annotations" in source or not any(
        isinstance(node, (ast.FunctionDef, ast.AnnAssign)) for node in ast.walk(ast.parse(source))
    )


def test_nothing_travels_that_is_not_used() -> None:
    used = {name for source in MODULES.values() for name in imports(source)[0]} | LATE
    for name in OURS:
        if not name.startswith("gittrack.attendant"):
            assert name in used or f"{name}." in "".join(f"{each}." for each in used), name


@pytest.mark.parametrize("version", attendant_jobs.pythons())
def test_every_module_is_imported_by_a_bare_interpreter(archive: str, version: str) -> None:
    modules = sorted({*OURS} - {"gittrack.record.documents"})
    code = f"import sys; sys.path.insert(0, {archive!r})\nfor name in {modules!r}: __import__(name)"
    subprocess.run([attendant_jobs.pythons()[version], "-I", "-S", "-W", "error", "-c", code], check=True, env={})


def test_the_attendant_loads_little(archive: str) -> None:
    """Each start of a job waits for it."""
    heavy = {
        "asyncio",
        "argparse",
        "http",
        "email",
        "xml",
        "sqlite3",
        "multiprocessing",
        "unittest",
        "logging",
        "inspect",
    }
    code = f"import sys; sys.path.insert(0, {archive!r}); import gittrack.attendant.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, env={}, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert not heavy & loaded and "yaml" not in loaded and "gittrack.recorder.active" not in loaded


def test_the_same_version_is_the_same_bytes_and_the_same_name(archive: str, tmp_path: Path) -> None:
    again = attendant_jobs.build(tmp_path)
    assert Path(again).read_bytes() == Path(archive).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["attendant.zip"]


def test_it_is_also_the_recorder_and_small(archive: str) -> None:
    with zipfile.ZipFile(archive) as opened:
        names = set(opened.namelist())
    assert {"sitecustomize.py", "__main__.py", "gittrack/recorder/journal.py", "gittrack/attendant/main.py"} <= names
    assert len(names) == 2 * len(SOURCES) and Path(archive).stat().st_size < 600_000


def test_python_of_the_same_version_compiles_nothing_and_all_others_everything(archive: str) -> None:
    ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
    code = f"import sys; sys.path.insert(0, {archive!r}); import gittrack.attendant.main as main; print(main.__file__)"
    for version, python in attendant_jobs.pythons().items():
        done = subprocess.run([python, "-I", "-S", "-c", code], check=True, env={}, capture_output=True, text=True)
        assert done.stdout.strip() == f"{archive}/gittrack/attendant/main.py{'c' * (version == ours)}", version


def test_an_interpreter_that_is_too_old_says_so(archive: str) -> None:
    old = sorted(attendant_jobs.PYENV.glob("[23].[678]*")) + sorted(attendant_jobs.PYENV.glob("2.7*"))
    for home in old:
        done = subprocess.run(
            [str(home / "bin" / "python"), archive], capture_output=True, text=True, check=False, env={}
        )
        assert done.returncode == 127 and "needs Python 3.9 or later; here is" in done.stderr
