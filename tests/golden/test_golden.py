"""Repositories that older versions wrote must stay readable, and their journals must fold to the same oids."""

import json
import os
import subprocess
from pathlib import Path

import make
import pytest

from gittrack.core import layout
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import reader

HERE = Path(__file__).parent
BUNDLES = sorted(HERE.glob("*.bundle"))


def refs(path):
    text = subprocess.check_output(
        ["git", "-C", path, "for-each-ref", "--format=%(refname) %(objectname)", "refs/track"]
    )
    return text.decode().splitlines()


def root(path, run_id):
    """The record of a run, where plain git finds it."""
    records = layout.archive_ref(make.WRITER, 0, "records")
    if not any(line.startswith(records) for line in refs(path)):
        return layout.run_ref(run_id)
    trees = ["git", "-C", path, "ls-tree", "-d", f"{records}:{layout.archived_run(run_id)}/000"]
    return subprocess.check_output(trees).decode().splitlines()[-1].split()[2]


@pytest.fixture(params=BUNDLES, ids=lambda path: path.stem)
def bundle(request):
    return request.param


@pytest.fixture
def golden(bundle, tmp_path):
    path = tmp_path / "golden"
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    refs_of_it = ["refs/heads/main:refs/heads/main", "refs/track/*:refs/track/*"]
    fetch = ["git", "-C", str(path), "fetch", "-q", str(bundle), *refs_of_it]
    subprocess.run([*fetch, "--update-head-ok"], check=True)
    subprocess.run(["git", "-C", str(path), "reset", "-q", "--hard"], check=True)
    return path


@pytest.fixture
def opened(golden):
    repo = open_repository(discover(str(golden), os.environ), os.environ)
    yield repo
    repo.close()


def test_there_is_a_golden_repository_for_every_format_version():
    newest = int((HERE.parents[1] / "docs" / "format.md").read_text().split("\n")[0].rpartition(" ")[2])
    assert [path.stem for path in BUNDLES] == [f"v{number}" for number in range(1, newest + 1)]


def test_every_record_of_it_reads_as_it_did(golden, opened, bundle):
    assert make.documents(str(golden), int(bundle.stem[1:])) == json.loads(bundle.with_suffix(".json").read_text())
    assert len(reader.series(opened, reader.read(opened, make.COMPLETED), "loss")) >= 30_000


def test_git_itself_finds_nothing_wrong_with_it(golden):
    assert subprocess.check_output(["git", "-C", str(golden), "fsck", "--strict"], stderr=subprocess.STDOUT) == b""


def test_it_is_listed_and_shown(golden, track, bundle):
    rows = json.loads(track("ls", "--json", "--all", cwd=golden).stdout)
    assert {row["id"] for row in rows} == set(json.loads(bundle.with_suffix(".json").read_text()))
    assert "läuft ✓" in track("show", make.COMPLETED[:9], cwd=golden).stdout


def test_its_journal_still_folds_to_the_same_oids(golden, tmp_path, bundle):
    path = tmp_path / "again"
    make.build(str(path), int(bundle.stem[1:]))
    assert refs(path) == refs(golden)


def test_the_files_of_its_runs_stand_where_the_format_says(golden, bundle):
    def listed(run_id, *args):
        return subprocess.check_output(["git", "-C", str(golden), *args, root(golden, run_id)]).decode()

    text = subprocess.check_output(["git", "-C", str(golden), "show", root(golden, make.COMPLETED) + ":format"])
    assert text.decode() == f"gittrack {min(int(bundle.stem[1:]), layout.FORMAT)}\n"
    names = listed(make.COMPLETED, "-c", "core.quotePath=true", "ls-tree", "-r", "--name-only").splitlines()
    found = [name for name in names if name.startswith(("files/", '"files/'))]
    if bundle.stem == "v1":
        assert found == []
        return
    assert "files/000/00/00/config.json" in found and "files/000/01/07/config.json" in found
    assert sorted(name for name in found if "files/000/00/01/" in name) == [
        r'"files/000/00/01/caf\351"', r'"files/000/00/01/l\303\244uft/\342\234\223/leer"',
        "files/000/00/01/config.json", "files/000/00/01/latest", "files/000/00/01/run me.sh",
    ]  # fmt: skip
    assert "120000 blob" in listed(make.COMPLETED, "ls-tree", "-r")
    pointer = root(golden, make.CRASHED) + ":files/000/00/00/model.pt"
    assert subprocess.check_output(["git", "-C", str(golden), "show", pointer]).startswith(b"version https://git-lfs")


@pytest.mark.parametrize("bundle", BUNDLES[2:], indirect=True)
def test_archived_runs_have_their_history_and_their_code_again(golden, track):
    def git(*args):
        return subprocess.check_output(["git", "-C", str(golden), *args]).decode()

    assert git("for-each-ref", "--format=%(refname)", "refs/track/runs").split() == [layout.run_ref(make.LOOSE)]
    track("unarchive", make.COMPLETED, make.CRASHED, cwd=golden)
    made = golden.parent / "again"
    make.build(str(made), 2)
    again = ["git", "-C", str(made), "rev-parse", layout.run_ref(make.COMPLETED)]
    assert git("rev-parse", layout.run_ref(make.COMPLETED)) == subprocess.check_output(again).decode()
    code = json.loads(git("show", layout.run_ref(make.CRASHED) + ":run.json"))["snapshot"]
    assert git("show", f"{code}:train.py") == "print('größer')\n"
    assert git("rev-parse", layout.code_ref(code)).strip() == code
    assert git("fsck", "--strict") == ""
