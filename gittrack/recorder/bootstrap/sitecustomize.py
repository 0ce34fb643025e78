"""The way into a Python program that `git track run` starts: Python imports this at start, from PYTHONPATH.

It runs in every Python process under a run, in any interpreter, with or without gittrack, before the program. So it
loads next to nothing (argparse and torch are watched for, not imported), hands on to the sitecustomize that it
displaced, and whatever goes wrong in it, the program starts. Interpreters before 3.9 get nothing but that: this file
must parse there.

What it is in, a folder of the package `gittrack` or a zip, holds the recorder: see `_root`.
"""

# mypy: disable-error-code="no-untyped-def,no-untyped-call,import-not-found,assignment"

import os
import sys

_ALIAS = "_gittrack_recorder"  # as in recorder/__init__.py

# Programs that start the program. Their interpreter and their options say nothing of the training.
_STARTERS = (
    "accelerate conda deepspeed ensurepip git-track gittrack hatch horovodrun ipykernel_launcher ipython ipython3 "
    "jupyter jupyter-lab jupyter-nbconvert jupyter-notebook mamba nox papermill pdm pip pip3 pipenv poetry py.test "
    "pytest ray torch.distributed.launch torch.distributed.run torchrun tox uv venv virtualenv"
)


class _LastResort:
    """A finder that provides `gittrack` where it is not installed: `gittrack.init()` joins, or says why it cannot."""

    def find_spec(self, name, _path=None, _target=None):
        if name != "gittrack":
            return None
        for finder in sys.meta_path:
            if getattr(finder, "__name__", "") == "PathFinder":
                return finder.find_spec(name, [_root()])
        return None


def _start():
    if sys.version_info < (3, 9):
        return
    sys.meta_path.append(_LastResort())
    run_dir = os.environ.get("GITTRACK_RUN_DIR", "")
    if not os.path.isdir(run_dir):
        return
    if os.environ.get("GITTRACK_AUTOLOG", "1") == "0" or _program() in _STARTERS.split():
        return
    watch = _recorder("importing").when_loaded
    watch("argparse", lambda: _recorder("argparse_hook").install())
    watch("torch", lambda: _recorder("torch_hook").install())
    if _is_first(run_dir):
        _recorder("packages").record()


def _is_first(run_dir):
    """Whether no other process of this run has this interpreter and environment: one list of packages is enough."""
    mark = 0
    for byte in (sys.executable + sys.prefix + sys.version).encode("utf-8", "replace"):
        mark = (mark * 31 + byte) % 0xFFFFFFFF
    try:
        os.close(os.open(os.path.join(run_dir, "python-%08x" % mark), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    return True


def _program():
    """What runs: `torch.distributed.run` for -m, else the name of the script; "" when it cannot be told."""
    words = getattr(sys, "orig_argv", [])
    if sys.argv[:1] == ["-m"] and "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    return name[:-3] if name.endswith(".py") else name


def _recorder(name):
    """The recorder's module `name`, under the private name unless the program has imported this very gittrack."""
    public = sys.modules.get("gittrack.recorder")
    home = os.path.join(_root(), "gittrack", "recorder")
    if public is not None and os.path.realpath(public.__path__[0]) == os.path.realpath(home):
        return __import__("gittrack.recorder." + name, fromlist=[name])
    if _ALIAS not in sys.modules:
        package = type(sys)(_ALIAS)
        package.__path__ = [home]
        sys.modules[_ALIAS] = package
    return __import__(_ALIAS + "." + name, fromlist=[name])


def _root():
    """What holds the package `gittrack`: the zip that this file is in, or the folder three levels up."""
    return os.path.dirname(os.path.dirname(os.path.dirname(_HERE))) if os.path.isdir(_HERE) else _HERE


def _guarded(step):
    try:
        step()
    except Exception:  # noqa: BLE001, RUF100 - the program must start and run whatever is wrong with its tracker
        if os.environ.get("GITTRACK_STRICT", "0") not in ("", "0"):
            raise


def _hand_on():
    """Import the sitecustomize that this one displaced. The path stays in the environment, for processes to come."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    mine = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # noqa: F401, PLC0415 - the next one: this is what the module is for
    except ImportError as error:
        if mine is not None:
            sys.modules["sitecustomize"] = mine
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise


_HERE = os.path.dirname(os.path.abspath(__file__))
_guarded(_start)
_hand_on()
