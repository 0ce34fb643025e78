"""The bootstrap comes into every Python of a run, and no program notices."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from journal_reading import BOOTSTRAP, PACKAGE, RUN_ID, events, interpreters, values

PARSE = "import argparse; p = argparse.ArgumentParser(); p.add_argument('--lr', type=float, default=0.1)\n"
PROGRAM = PARSE + "print(p.parse_args().lr)\n"


@pytest.mark.parametrize("version", interpreters())
def test_every_supported_interpreter_is_recorded(under: Any, run_dir: Path, version: str) -> None:
    assert under(PROGRAM, "--lr", "0.5", python=interpreters()[version]).stdout == "0.5\n"
    assert values(run_dir, "argparse") == {"lr": 0.5}
    python = {event["name"]: event["value"] for event in events(run_dir, "environment")}["python.json"]
    assert python["version"].startswith(version + ".")


def test_interpreters_too_old_run_all_the_same(under: Any, run_dir: Path) -> None:
    old = [*Path(os.path.expanduser("~root/.pyenv/versions")).glob("[23].[678].*/bin/python")]
    for python in old:
        done = under("print('trained')", python=str(python), GITTRACK_STRICT="0")
        assert (done.stdout, done.stderr) == ("trained\n", "")
    source = (Path(BOOTSTRAP) / "sitecustomize.py").read_text()
    assert source.isascii() and "f'" not in source and 'f"' not in source  # what Python 2 would stumble over
    assert len(list(run_dir.iterdir())) == 1


def test_modules_are_recorded(under: Any, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__main__.py").write_text(PROGRAM)
    assert under(None, "-m", "training", "--lr", "2").stdout == "2.0\n"
    assert values(run_dir, "argparse") == {"lr": 2.0}


def test_commands_and_standard_input_are_recorded(under: Any, run_dir: Path) -> None:
    under(None, "-c", PROGRAM, "--lr", "3")
    assert values(run_dir, "argparse") == {"lr": 3.0}


@pytest.mark.parametrize("option", ["-S", "-I", "-E"])
def test_isolated_interpreters_are_not_recorded_and_not_disturbed(under: Any, run_dir: Path, option: str) -> None:
    done = under(PROGRAM, "--lr", "0.5", options=(option,))
    assert (done.stdout, done.stderr) == ("0.5\n", "")
    assert len(list(run_dir.iterdir())) == 1


def test_no_autolog_patches_nothing_but_init_joins(under: Any, run_dir: Path) -> None:
    under(PROGRAM + "import sys; assert not hasattr(p.parse_args, '_gittrack')", GITTRACK_AUTOLOG="0")
    assert len(list(run_dir.iterdir())) == 1
    under("import gittrack; gittrack.init().log({'a': 1})", GITTRACK_AUTOLOG="0")
    assert len(events(run_dir, "m")) == 1


def test_outside_a_run_nothing_happens(under: Any, run_dir: Path) -> None:
    code = PARSE + "assert not hasattr(p.parse_args, '_gittrack')"
    under(code, GITTRACK_RUN_DIR="", GITTRACK_RUN_ID="")
    under(code, GITTRACK_RUN_DIR=str(run_dir / "gone"))
    assert len(list(run_dir.iterdir())) == 1


def test_the_sitecustomize_that_was_there_runs_as_before(under: Any, run_dir: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text("import sys; sys.from_theirs = __file__\n")
    code = "import sys, sitecustomize; print(sys.from_theirs == sitecustomize.__file__)\n"
    assert under(code + PROGRAM, path=(BOOTSTRAP, str(theirs))).stdout == "True\n0.1\n"
    assert values(run_dir, "argparse") == {"lr": 0.1}


@pytest.mark.parametrize("error", ["ImportError('x')", "ModuleNotFoundError('y', name='y')", "ValueError('z')"])
def test_a_sitecustomize_that_fails_fails_as_before(under: Any, tmp_path: Path, error: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sitecustomize.py").write_text(f"raise {error}\n")
    alone, chained = (under("print(1)", path=path) for path in ((str(theirs),), (BOOTSTRAP, str(theirs))))
    assert (alone.stdout, chained.stdout) == ("1\n", "1\n")
    assert alone.stderr.splitlines()[0] == chained.stderr.splitlines()[0]


def test_without_another_sitecustomize_none_is_missed(under: Any) -> None:
    assert under("print(1)").stderr == ""


def test_the_path_is_the_programs_own_but_its_children_are_recorded(under: Any, run_dir: Path) -> None:
    code = f"""
import os, subprocess, sys
assert not [entry for entry in sys.path if {BOOTSTRAP!r} in entry], sys.path
if "child" not in sys.argv:
    subprocess.run([sys.executable, __file__, "child", "--lr", "7"], check=True)
else:
    sys.argv.remove("child")
    {PROGRAM.strip().replace(chr(10), "; ")}
"""
    assert under(code).stdout == "7.0\n"
    assert values(run_dir, "argparse") == {"lr": 7.0}


def test_a_shell_script_is_recorded_through_its_programs(under: Any, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = under(None, "-c", f"'{sys.executable}' program.py --lr 4", python="/bin/sh")
    assert done.stdout == "4.0\n" and values(run_dir, "argparse") == {"lr": 4.0}


def test_argparse_is_not_loaded_for_programs_that_do_not_use_it(under: Any, run_dir: Path) -> None:
    code = "import sys; print(sorted({'argparse', 'json', 're', 'typing', 'threading'} & set(sys.modules)))"
    alone, recorded = under(code, path=()), under(code)
    assert alone.stdout == recorded.stdout


def test_argparse_that_is_loaded_already_is_watched(under: Any, run_dir: Path, tmp_path: Path) -> None:
    early = tmp_path / "early"
    early.mkdir()
    (early / "program_starts.pth").write_text("import argparse\n")
    code = f"import site, runpy, sys; site.addsitedir({str(early)!r}); sys.path.insert(0, {BOOTSTRAP!r})\n"
    under(code + "sys.modules.pop('sitecustomize', None)\nimport sitecustomize\n" + PROGRAM, path=())  # Debian has one
    assert values(run_dir, "argparse") == {"lr": 0.1}


def test_the_watched_module_is_as_it_always_was(under: Any) -> None:
    code = """
import argparse, importlib, inspect, sys
assert inspect.getsource(argparse.ArgumentParser.error)
assert type(argparse.__loader__) is type(argparse.__spec__.loader) is type(inspect.__loader__)
assert str(inspect.signature(argparse.ArgumentParser.parse_args)) == "(self, args=None, namespace=None)"
importlib.reload(argparse)
print(argparse.ArgumentParser.parse_args.__name__)
"""
    assert under(code).stdout == "parse_args\n"


def test_an_interpreter_without_gittrack_can_use_it_under_a_run(under: Any, run_dir: Path, bare: str) -> None:
    code = """
import gittrack
run = gittrack.init({"a": 1})
run.log({"loss": 0.5})
run.checkpoint(1, {"loss": 0.5})
import sys
assert not [entry for entry in sys.path if "gittrack" in entry]
try:
    import pygit2
except ImportError:
    print("bare")
"""
    assert under(PROGRAM + code, python=bare).stdout == "0.1\nbare\n"
    assert values(run_dir, "argparse") == {"lr": 0.1} and values(run_dir, "code") == {"a": 1}
    assert len(events(run_dir, "m")) == 2 and len(events(run_dir, "checkpoint")) == 1


def test_hooks_and_init_write_to_one_file(under: Any, run_dir: Path) -> None:
    under(PROGRAM + "import gittrack; gittrack.init().log({'a': 1})")
    under("import gittrack; gittrack.init().log({'a': 1})\n" + PROGRAM)
    assert len(list(run_dir.glob("*.jsonl"))) == 3


def test_a_program_with_a_gittrack_of_its_own_gets_its_own(under: Any, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "gittrack.py").write_text("MINE = True\n")
    assert under(PROGRAM + "import gittrack; print(gittrack.MINE)").stdout == "0.1\nTrue\n"
    assert values(run_dir, "argparse") == {"lr": 0.1}


def test_packages_are_recorded_once_per_interpreter(under: Any, run_dir: Path, bare: str) -> None:
    under("pass")
    under("pass")
    under("pass", python=bare)
    assert [event["name"] for event in events(run_dir, "environment")] == ["python.json", "requirements.txt"] * 2


@pytest.mark.parametrize("starter", ["torchrun", "conda", "pip"])
def test_programs_that_start_programs_are_not_taken_for_the_training(
    under: Any, run_dir: Path, tmp_path: Path, starter: str
) -> None:
    (tmp_path / starter).write_text(PROGRAM)
    under(None, str(tmp_path / starter), "--lr", "8")
    under(None, "-m", "pip", "--version")
    assert len(list(run_dir.iterdir())) == 1


def test_torchrun_records_the_training_and_its_ranks(under: Any, run_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "train.py").write_text(
        PARSE
        + "a = p.parse_args()\nimport gittrack, os; gittrack.init().log({'rank': int(os.environ['RANK'])}, step=0)"
    )
    under(None, "-m", "torch.distributed.run", "--nproc_per_node=2", "train.py", "--lr", "0.25")
    assert values(run_dir, "argparse") == {"lr": 0.25}
    assert sorted((line["m"]["rank"], line.get("r", 0)) for line in events(run_dir, "m")) == [(0, 0), (1, 1)]


def test_a_recorder_that_fails_does_not_fail_the_program(under: Any, tmp_path: Path) -> None:
    broken = tmp_path / "site" / "gittrack" / "recorder"
    shutil.copytree(PACKAGE / "recorder", broken)
    for module in ("packages", "argparse_hook"):
        (broken / f"{module}.py").write_text("raise RuntimeError('broken')\n")
    done = under(PROGRAM, path=(str(broken / "bootstrap"),), GITTRACK_STRICT="0")
    assert (done.stdout, done.stderr) == ("0.1\n", "")


def test_a_run_folder_that_cannot_be_written_to_does_not_fail_the_program(under: Any, run_dir: Path) -> None:
    (run_dir / "cuts.jsonl").write_text('{"files":{},"n":0,"reason":"final","status":null,"w":1.0}\n')
    done = under(PROGRAM)
    assert (done.stdout, done.stderr, events(run_dir, "params")) == ("0.1\n", "", [])


def test_a_program_starts_nearly_as_fast_as_before(run_dir: Path) -> None:
    """In CPU time, which a busy machine does not stretch much; benchmarks/ has the figures in wall time."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    recorded = {**plain, "GITTRACK_RUN_ID": RUN_ID, "GITTRACK_RUN_DIR": str(run_dir), "PYTHONPATH": BOOTSTRAP}
    spent: dict[str, list[float]] = {"plain": [], "recorded": []}
    for _ in range(15):
        for name, env in (("plain", plain), ("recorded", recorded)):
            _, _, usage = os.wait4(os.posix_spawn(sys.executable, [sys.executable, "-c", "pass"], env), 0)
            spent[name].append(usage.ru_utime + usage.ru_stime)
    assert min(spent["recorded"]) - min(spent["plain"]) < 0.005, spent
