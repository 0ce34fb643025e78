"""The frame around every command: what is loaded, how errors are told, and which exit code each one has."""

import subprocess
import sys
from pathlib import Path

import pytest

from gittrack import __version__, errors
from gittrack.cli import commands, frame, main

HEAVY = (
    "pygit2", "pandas", "numpy", "rich", "yaml", "psutil", "detect_secrets", "obstore", "pyfastcdc", "zipfile",
    "fabric", "invoke", "paramiko", "cryptography", "docker",
)  # fmt: skip


def loaded_by(*argv: str) -> set[str]:
    """The modules that one call of `git track` imports."""
    script = (
        "import sys\nfrom gittrack.cli.main import start\n"
        f"start({list(argv)!r}, 'linux')\nsys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_version_is_printed_without_loading_the_command_line_library(track):
    assert track("--version").stdout == f"gittrack {__version__}\n"
    assert not {"typer", "click", *HEAVY} & loaded_by("--version")


def test_the_version_is_the_one_of_the_package():
    text = Path("pyproject.toml").read_text()
    assert f'version = "{__version__}"' in text


@pytest.mark.parametrize("argv", [(), ("--help",), ("help",), ("help", "help"), ("ls", "--help")])
def test_help_loads_no_heavy_library(argv):
    assert not set(HEAVY) & loaded_by(*argv)


@pytest.mark.parametrize("module", ["gittrack", "gittrack.store.local", "gittrack.store.content"])
def test_importing_the_package_or_opening_the_store_loads_no_heavy_library(module):
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())


def test_calling_one_command_imports_no_other():
    modules = loaded_by("help", "help")
    assert "gittrack.cli.help" in modules
    assert "gittrack.cli.annotate" not in modules


def test_without_a_command_the_overview_is_printed(track):
    assert "git track run" in track().stdout


def test_it_runs_as_a_git_command(git):
    assert git("track", "--version") == f"gittrack {__version__}"


def test_it_runs_as_a_module(repo):
    done = subprocess.run([sys.executable, "-m", "gittrack", "--version"], capture_output=True, text=True, cwd=repo)
    assert done.stdout == f"gittrack {__version__}\n"


def test_an_unknown_command_suggests_the_nearest(track):
    done = track("comapre", code=2)
    assert done.stderr == "error: `comapre` is not a command of git track\nhint: did you mean `git track compare`?\n"
    assert "did you mean `git track ls`?" in track("list", code=2).stderr


def test_an_unknown_command_without_a_near_one_points_to_the_list(track):
    assert "hint: `git track help` lists the commands" in track("xyzzy", code=2).stderr


def test_an_unknown_option_names_the_help_of_its_command(track):
    done = track("help", "--colour", code=2)
    assert done.stderr.startswith("error: No such option")
    assert "hint: see `git track help --help`" in done.stderr


def test_a_directory_given_with_C_is_where_the_command_works(track, tmp_path):
    done = track("-C", str(tmp_path / "nowhere"), "help", code=2)
    assert "error: cannot change to" in done.stderr


def test_C_leads_into_the_repository_step_by_step(track, repo, tmp_path):
    assert "no runs yet" in track("-C", str(tmp_path), "-C", repo.name, "ls", cwd=Path("/")).stderr


def test_a_directory_that_is_gone_is_told_as_such(repo):
    script = f"mkdir {repo}/gone; cd {repo}/gone; rmdir {repo}/gone; git-track ls"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode == errors.NotARepository.exit_code
    assert "does not exist any more" in done.stderr


def test_a_terminal_that_knows_ascii_only_gets_escapes_and_no_error(track):
    track("run", "--quiet", "--name", "größe", "true")
    assert r"gr\xf6\xdfe" in track("ls", PYTHONIOENCODING="ascii").stdout


def test_other_systems_are_refused_in_words(capsys):
    assert main.start(["ls"], "win32") == errors.Unsupported.exit_code
    assert "Linux or macOS" in capsys.readouterr().err


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_every_command_is_there_and_its_summary_is_the_first_line_of_its_help(name):
    text = frame.build(name).help or ""
    assert text.splitlines()[0] == commands.COMMANDS[name].summary


@pytest.fixture
def raising(monkeypatch):
    """Make every call of the frame end in the exception given."""

    def arrange(error: BaseException) -> int:
        def fail(argv: list[str]) -> int:
            raise error

        monkeypatch.setattr(frame, "_invoke", fail)
        return frame.call(["ls"])

    return arrange


def test_an_error_of_ours_is_told_with_its_next_step_and_its_exit_code(raising, capsys):
    assert raising(errors.RunNotFound("there is no run `x`", "`git track ls` lists them")) == 66
    assert capsys.readouterr().err == "error: there is no run `x`\nhint: `git track ls` lists them\n"


def test_an_interrupt_ends_quietly_with_130(raising, capsys):
    assert raising(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_full_disk_is_told_as_such(raising, capsys):
    assert raising(OSError(28, "No space left on device", "/data/x")) == errors.CannotWrite.exit_code
    assert "error: cannot write /data/x: No space left on device" in capsys.readouterr().err


def test_a_fault_of_ours_says_so_and_where_to_look(raising, capsys):
    assert raising(ZeroDivisionError("division by zero")) == 70
    told = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in told
    assert "GITTRACK_TRACEBACK=1" in told
    assert "Traceback" not in told


def test_the_traceback_is_there_for_who_asks(raising, capsys, monkeypatch):
    monkeypatch.setenv("GITTRACK_TRACEBACK", "1")
    raising(ZeroDivisionError())
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_not_an_error(repo):
    done = subprocess.run("git-track help | head -n 1; echo ${PIPESTATUS[0]}", shell=True, executable="/bin/bash",
                          capture_output=True, text=True, cwd=repo)  # fmt: skip
    assert done.stderr == ""
