"""The file that links commits of the user's with runs."""

import multiprocessing

import pytest

from gittrack.git.discover import Paths
from gittrack.runs import links

RUN, OTHER = "a" * 20, "b" * 20
FIRST, SECOND, THIRD, FOURTH = ("1" * 40, "2" * 40, "3" * 40, "4" * 40)


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "objects").mkdir()
    return Paths(str(tmp_path), str(tmp_path), None)


def test_a_commit_is_linked_with_a_run_once(paths):
    assert links.add(paths, FIRST, RUN)
    assert not links.add(paths, FIRST, RUN)
    assert links.runs_of(paths, FIRST) == [RUN]
    assert links.commits_of(paths, RUN) == [FIRST]


def test_nothing_is_linked_where_there_is_no_file(paths):
    assert links.runs_of(paths, FIRST) == []
    assert links.commits_of(paths, RUN) == []


def test_a_link_follows_an_amend_and_a_rebase(paths):
    links.add(paths, FIRST, RUN)
    links.rewritten(paths, [(FIRST, SECOND)])
    links.rewritten(paths, [(SECOND, THIRD), (FOURTH, FOURTH)])
    assert links.runs_of(paths, THIRD) == [RUN]
    assert links.runs_of(paths, SECOND) == [RUN]
    assert links.commits_of(paths, RUN) == [THIRD]


def test_a_squash_has_the_runs_of_all_that_went_into_it(paths):
    links.add(paths, FIRST, RUN)
    links.add(paths, SECOND, OTHER)
    links.rewritten(paths, [(FIRST, THIRD), (SECOND, THIRD)])
    assert sorted(links.runs_of(paths, THIRD)) == [RUN, OTHER]


def test_commits_that_were_made_of_each_other_are_no_endless_loop(paths):
    links.add(paths, FIRST, RUN)
    links.rewritten(paths, [(FIRST, SECOND), (SECOND, FIRST)])
    assert links.runs_of(paths, SECOND) == [RUN]
    assert links.commits_of(paths, RUN) == [FIRST]


def test_a_line_that_a_crash_has_cut_short_costs_that_line_alone(paths):
    links.add(paths, FIRST, RUN)
    with open(links.path(paths), "ab") as file:
        file.write(b'{"commit":"' + SECOND.encode())
    links.add(paths, THIRD, RUN)
    assert links.commits_of(paths, RUN) == [FIRST, THIRD]


def test_lines_that_are_no_links_are_passed_over(paths):
    links.add(paths, FIRST, RUN)
    with open(links.path(paths), "ab") as file:
        file.write(
            b'[1]\n{"commit":1,"run":"x"}\n{"from":"..","to":null}\n"x"\nnot JSON\n{"commit":"../x","run":"y"}\n'
        )
        file.write(b"[" * 100_000 + b"\n")
    assert links.runs_of(paths, FIRST) == [RUN]
    assert links.read(paths).before == {}


def _add(paths, number):
    for at in range(50):
        links.add(paths, f"{number:020d}{at:020d}", RUN)


def test_hooks_that_write_at_once_lose_no_line(paths):
    writers = [multiprocessing.get_context("fork").Process(target=_add, args=(paths, each)) for each in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert len(links.commits_of(paths, RUN)) == 200


def test_trailers_are_read_out_of_a_message():
    message = f"Larger steps\n\nTrack-Run: {RUN}\ntrack-run: {OTHER.upper()}\nTrack-Run: {RUN}\nTrack-Run: short\n"
    assert links.named(message) == [RUN, OTHER]
    assert links.named(b"\xff\n\nTrack-Run: " + RUN.encode() + b"\r\n") == [RUN]
