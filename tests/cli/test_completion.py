"""Completion is judged where it is used: by pressing TAB in a real bash, zsh and fish."""

import os
import re
import shutil
from pathlib import Path

import pexpect
import pytest

from gittrack.cli.commands import COMMANDS

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")
ENDS = 60
CODES = re.compile(r"\x1b(\[[0-9;?<=>]*[a-zA-Z]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>]|\([AB0])")


class Shell:
    """An interactive shell with completion loaded."""

    def __init__(self, name: str, home: Path, cwd: Path) -> None:
        if shutil.which(name) is None or (name == "bash" and not BASH_COMPLETION.exists()):
            pytest.skip(f"{name} with its completions is not installed")
        start = {
            "bash": (["--norc", "--noprofile", "-i"], f'source {BASH_COMPLETION}; eval "$(git track completion bash)"'),
            "zsh": (["-f", "-i"], 'autoload -Uz compinit; compinit -u -D; eval "$(git track completion zsh)"'),
            "fish": (["--no-config", "-i"], "git track completion fish | source"),
        }
        arguments, load = start[name]
        self.child = pexpect.spawn(
            name, arguments, cwd=str(cwd), env={**os.environ, "HOME": str(home), "PS1": "$ "},
            encoding="utf-8", timeout=ENDS, dimensions=(50, 200), echo=True,
        )  # fmt: skip
        self.child.sendline(f"{load}; echo rea''dy")
        self.child.expect("ready")

    def tab(self, typed: str, expected: str) -> str:
        """What the screen shows after `typed` and TAB, twice where the first one rings, once `expected` has come."""
        self.child.send(typed)
        self.child.expect_exact(typed[-3:])
        self.child.send("\t")
        if self.child.expect([expected, "\a"]):
            self.child.send("\t")
            self.child.expect(expected)
        return CODES.sub("", self.child.before + self.child.after)

    def close(self) -> None:
        self.child.close(force=True)


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request, sealed, repo):
    opened = Shell(request.param, sealed, repo)
    yield opened
    opened.close()


@pytest.mark.parametrize("program", ["git-track", "git track"])
def test_tab_completes_a_command(shell, program):
    shell.tab(f"{program} unins", "tall")


@pytest.mark.parametrize("program", ["git-track", "git track"])
def test_tab_offers_what_a_command_takes(shell, program):
    shell.tab(f"{program} completion ", "fish")


@pytest.mark.parametrize("program", ["git-track", "git track"])
def test_tab_offers_the_names_of_runs(shell, track, program):
    track("run", "--name", "zebra-crossing", "--quiet", "true")
    shell.tab(f"{program} show zebra", "-crossing")


def test_every_command_is_offered_with_its_summary(track):
    lines = track("__complete", "").stdout.splitlines()
    assert lines == [f"{name}\t{entry.summary}" for name, entry in COMMANDS.items()]


def test_options_are_offered_after_a_dash(track):
    assert "--help\t" in track("__complete", "ls", "--").stdout


def test_the_shell_completes_the_command_to_run(track):
    assert track("__complete", "run", "pyth").stdout == ":commands\n"
    assert track("__complete", "run", "python", "tr").stdout == ":files\n"


def test_remotes_and_runs_are_offered_to_push_and_remotes_alone_to_status(repo, git, track):
    git("remote", "add", "upstream", "file:///nowhere")
    track("run", "-q", "--name", "wide", "--", "true")
    for command, offered in (("push", {"upstream", "wide"}), ("status", {"upstream"}), ("remote", {"upstream"})):
        words = {line.split("\t")[0] for line in track("__complete", command, "").stdout.splitlines()}
        assert words & {"upstream", "wide"} == offered


def test_hosts_are_offered_where_one_is_to_be_named(repo, sealed, track):
    (repo / "gittrack.yaml").write_text("hosts:\n  gpu1: {host: ann@gpu1.example}\n")
    (sealed / ".ssh").mkdir(exist_ok=True)
    (sealed / ".ssh" / "config").write_text("Host lab big-one\n  User ann\nHost *.example !x\n  Port 22\n")
    hosts = {"gpu1", "lab", "big-one", "here"}

    def words(*line):
        return {each.split("\t")[0] for each in track("__complete", *line).stdout.splitlines()}

    for line in (("host", "check", ""), ("top", ""), ("attach", "-H", ""), ("fetch", "")):
        assert words(*line) == hosts
    assert words("run", "-H", "") == {*hosts, "any"}
    assert words("run", "--host", "g") == {"gpu1"}


def test_outside_a_repository_nothing_is_offered_and_nothing_is_said(track, tmp_path):
    done = track("__complete", "show", "", cwd=tmp_path, code=1)
    assert (done.stdout, done.stderr) == ("", "")


def test_an_unknown_shell_is_refused_by_name(track):
    assert "bash, zsh, fish" in track("completion", "tcsh", code=2).stderr
