"""Help is complete and calm: it fits its terminal, shows examples as they stand, and git finds the manual."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.cli import help as pages
from gittrack.cli.commands import COMMANDS, SECTIONS


def test_the_overview_names_every_section_and_command(track):
    shown = track("help").stdout
    assert all(f"{section}:" in shown for section in SECTIONS)
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("asking", [("help", "help"), ("help", "--help"), ("help", "-h")])
def test_all_ways_to_ask_give_the_same_text(track, asking):
    assert track(*asking).stdout == pages.render(pages.read("help"))


def test_help_on_an_unknown_command_says_so(track):
    assert "`nothing` is not a command" in track("help", "nothing", code=2).stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_the_terminal_except_for_examples(track, name):
    shown = track("help", name, COLUMNS="80").stdout
    text = shown.partition("Examples:")[0]
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "Options:" in text


def test_a_pipe_gets_no_colours(track):
    assert "\033[" not in track("help").stdout


def test_colours_can_be_asked_for_and_refused(track):
    assert "\033[1m" in track("help", FORCE_COLOR="1").stdout
    assert "\033[" not in track("help", FORCE_COLOR="1", NO_COLOR="1").stdout


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_git_help_track_shows_the_manual_that_was_installed(repo):
    if not (Path(sys.prefix) / "share/man/man1/git-track.1").exists():
        pytest.skip("installed without its manual page")
    done = subprocess.run(
        ["git", "help", "track"], cwd=repo, capture_output=True, text=True, env={**os.environ, "MANPAGER": "cat"}
    )
    assert done.returncode == 0, done.stderr
    assert "git track compare" in done.stdout
