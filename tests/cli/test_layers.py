"""The layers also hold for modules that are imported late: import-linter cannot see what lazy() is asked for."""

import ast
import functools
import re
from pathlib import Path

import pytest

import gittrack

PACKAGE = Path(gittrack.__file__).parent
# What each layer may reach, beyond itself: docs/architecture.md.
BELOW = {
    "cli": {"launch", "compare", "record", "share", "runs", "git", "store", "config", "core", "recorder"},
    "hook": {"launch", "compare", "record", "share", "runs", "git", "store", "config", "core", "recorder"},
    "launch": {"attendant", "compare", "record", "share", "runs", "git", "store", "config", "core", "recorder"},
    "attendant": {"record", "runs", "store", "core", "recorder"},
    "compare": {"share", "runs", "git", "store", "config", "core", "recorder"},
    "record": {"share", "runs", "git", "store", "config", "core", "recorder"},
    "share": {"runs", "git", "store", "config", "core", "recorder"},
    "runs": {"git", "store", "config", "core", "recorder"},
    "git": set(),
    "store": set(),
    "config": {"core"},
    "core": {"recorder"},  # words that journal and fold share
    "recorder": set(),
}
EVERYWHERE = {"errors", "lazy"}
# The layers within launch, likewise: nothing reaches its own row, but for itself, nor one above.
WITHIN_LAUNCH = [
    {"api"},
    {"jobs"},
    {"cleaning", "home", "images", "usage"},
    {"sending", "reached"},
    {"engine", "ssh"},
    {"link"},
    {"later"},
]
MODULES = sorted(
    path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if len(path.relative_to(PACKAGE).parts) > 1
)


@functools.cache
def nodes(module: Path) -> list[ast.AST]:
    """All of a module's syntax; each is asked for many times."""
    return [*ast.walk(ast.parse((PACKAGE / module).read_text()))]


def reached(module: Path, package: str = "gittrack") -> set[str]:
    """The parts of a package that a module imports, at its top or by lazy()."""
    found = set()
    for node in nodes(module):
        names = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "lazy":
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found |= {
            name.removeprefix(f"{package}.").split(".")[0]
            for name in names
            if name.startswith(f"{package}.") and name != "gittrack.__version__"
        }
    return found


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_arrows_point_down_only(module):
    layer = module.parts[0]
    assert reached(module) <= BELOW[layer] | EVERYWHERE | {layer}


@pytest.mark.parametrize("module", [one for one in MODULES if one.parts[0] == "launch"], ids=str)
def test_arrows_within_launch_point_down_only(module):
    if module.name == "__init__.py":
        return
    part = module.parts[1].removesuffix(".py")
    row = next(number for number, parts in enumerate(WITHIN_LAUNCH) if part in parts)
    assert reached(module, "gittrack.launch") <= set().union({part}, *WITHIN_LAUNCH[row + 1 :])


def test_torch_has_one_door():
    """Whatever else a module calls with its name (`sys.modules.get("torch")`) does not load it."""
    doors = {
        str(module)
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("lazy", "_module")
        for name in node.args[:1]
        if isinstance(name, ast.Constant) and str(name.value).partition(".")[0] in ("torch", "safetensors")
    }
    assert doors == {"compare/loading.py"}


@pytest.mark.parametrize(
    ("library", "doors"), [("fabric|paramiko|invoke", r"launch/ssh/\w+\.py"), ("docker", r"launch/engine/\w+\.py")]
)
def test_ssh_and_docker_have_their_doors(library, doors):
    importing = {
        str(module)
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        if re.fullmatch(rf"(?:{library})(?:\..*)?", name)
    }
    assert all(re.fullmatch(doors, module) for module in importing), importing


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_says_why_it_exists(module):
    tree = nodes(module)[0]
    assert isinstance(tree, ast.Module)
    assert not tree.body or ast.get_docstring(tree), "no module docstring"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_stays_short_enough_to_be_read(module):
    assert len((PACKAGE / module).read_text().splitlines()) <= 400


def test_only_the_command_line_and_the_settings_read_the_environment():
    readers = {
        module.parts[0]
        for module in MODULES
        for node in nodes(module)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert readers <= {"cli", "config", "recorder", "attendant"}  # that is a program of its own
