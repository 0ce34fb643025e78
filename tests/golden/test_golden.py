"""Repositories that older versions wrote must stay readable, and their journals must fold to the same oids."""

import json
import os
import subprocess
from pathlib import Path

import make
import pytest

from gittrack.core import codec, layout
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


@pytest.fixture(params=BUNDLES, ids=lambda path: path.stem)
def golden(request, tmp_path):
    path = tmp_path / "golden"
    subprocess.run(["git", "init", "-q", "-b", "main", str(path)], check=True)
    refs_of_it = ["refs/heads/main:refs/heads/main", "refs/track/*:refs/track/*"]
    fetch = ["git", "-C", str(path), "fetch", "-q", str(request.param), *refs_of_it]
    subprocess.run([*fetch, "--update-head-ok"], check=True)
    subprocess.run(["git", "-C", str(path), "reset", "-q", "--hard"], check=True)
    return path


@pytest.fixture
def opened(golden):
    repo = open_repository(discover(str(golden), os.environ), os.environ)
    yield repo
    repo.close()


def test_there_is_a_golden_repository_for_every_format_version():
    assert [path.stem for path in BUNDLES] == [f"v{number}" for number in range(1, layout.FORMAT + 1)]


def test_every_record_of_it_reads_as_it_did(golden, opened):
    expected = json.loads((HERE / "v1.json").read_text())
    found = {}
    for run_id in (make.COMPLETED, make.CRASHED):
        record = reader.read(opened, run_id)
        documents = {name: getattr(record, name) for name in ("facts", "status", "params", "summary")}
        found[run_id] = json.loads(codec.dumps(documents))
    assert found == expected
    assert len(reader.series(opened, reader.read(opened, make.COMPLETED), "loss")) >= 30_000


def test_git_itself_finds_nothing_wrong_with_it(golden):
    assert subprocess.check_output(["git", "-C", str(golden), "fsck", "--strict"], stderr=subprocess.STDOUT) == b""


def test_it_is_listed_and_shown(golden, track):
    rows = json.loads(track("ls", "--json", "--all", cwd=golden).stdout)
    assert {row["id"] for row in rows} == {make.COMPLETED, make.CRASHED}
    assert "läuft ✓" in track("show", make.COMPLETED[:9], cwd=golden).stdout


def test_its_journal_still_folds_to_the_same_oids(golden, tmp_path):
    path = tmp_path / "again"
    make.build(str(path))
    if golden_is_newest(golden):
        assert refs(path) == refs(golden)


def golden_is_newest(path):
    text = subprocess.check_output(["git", "-C", str(path), "show", layout.run_ref(make.COMPLETED) + ":format"])
    return text == layout.FORMAT_LINE
