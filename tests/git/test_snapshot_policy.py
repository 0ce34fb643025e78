"""What stays out of a snapshot, how it is named, and how it is included all the same."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from snapshotting import content, files, git_at, left, planned, sh, shoot

from gittrack.config.file_policy import FilePolicy
from gittrack.config.secret_rules import load
from gittrack.core.redact import Redactor
from gittrack.git.digests import Digests
from gittrack.git.snapshot import Policy, plan
from gittrack.git.untracked import heaviest, matches

KEY = b"AKIAIOSFODNN7EXAMPLE"


@pytest.fixture(scope="session")
def redactor() -> Redactor:
    return Redactor(load(None))


@pytest.fixture
def strict(redactor: Redactor) -> FilePolicy:
    """The rules that a real run has."""
    return FilePolicy(10_000_000, 200_000_000, (), (), redactor)


def test_a_large_file_is_left_out_and_listed_with_size_and_digest(repo: Path) -> None:
    data = os.urandom(3000)
    (repo / "data.bin").write_bytes(data)
    (repo / "small").write_bytes(b"x" * 2000)
    snapshot = shoot(repo, Policy(max_file=2000))
    assert "small" in files(repo, snapshot) and "data.bin" not in files(repo, snapshot)
    entry = left(snapshot, "data.bin")
    assert (entry.size, entry.sha256) == (3000, hashlib.sha256(data).hexdigest())
    assert "2 KB" in entry.reason


def test_a_large_tracked_file_that_did_not_change_costs_nothing_and_stays(repo: Path) -> None:
    (repo / "data.bin").write_bytes(b"1" * 3000)
    sh(repo, "add", ".")
    sh(repo, "commit", "-qm", "data")
    (repo / "train.py").write_text("2\n")
    snapshot = shoot(repo, Policy(max_file=2000))
    assert "data.bin" in files(repo, snapshot) and not snapshot.left_out


def test_a_large_change_of_a_tracked_file_leaves_the_committed_content(repo: Path) -> None:
    (repo / "train.py").write_text("staged\n")
    sh(repo, "add", "train.py")
    (repo / "train.py").write_bytes(b"x" * 3000)
    snapshot = shoot(repo, Policy(max_file=2000))
    assert content(repo, snapshot, "train.py") == b'print("trained")\n'
    assert left(snapshot, "train.py").sha256
    assert snapshot.oid == snapshot.base


def test_a_digest_is_remembered_by_the_identity_of_the_file(tmp_path: Path) -> None:
    file, cache = tmp_path / "data", tmp_path / "cache/digests.json"
    file.write_bytes(b"1")
    os.utime(file, (1, 1))
    first = Digests(str(cache))
    assert first.cost(str(file)) == 1
    assert first.get(str(file)) == hashlib.sha256(b"1").hexdigest()
    first.save()
    second = Digests(str(cache))
    assert second.cost(str(file)) == 0
    file.write_bytes(b"2")
    assert Digests(str(cache)).get(str(file)) == hashlib.sha256(b"2").hexdigest()
    cache.write_text("{damaged")
    assert Digests(str(cache)).get(str(file)) == hashlib.sha256(b"2").hexdigest()
    assert Digests(str(cache)).get(str(tmp_path / "absent")) is None


def test_a_digest_of_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"1")
    digests = Digests(str(tmp_path / "digests.json"))
    assert digests.get(str(tmp_path / "data"))
    digests.save()
    assert not (tmp_path / "digests.json").exists()


def test_digests_stop_where_hashing_would_take_long(repo: Path) -> None:
    (repo / "huge").write_bytes(b"x" * 5000)
    (repo / "large").write_bytes(b"x" * 3000)
    snapshot = shoot(repo, Policy(max_file=2000, max_digest=4000))
    assert left(snapshot, "large").sha256 and left(snapshot, "huge").sha256 is None


def test_include_takes_what_is_too_large_and_what_is_ignored(repo: Path) -> None:
    (repo / ".gitignore").write_text("data/\n*.log\n")
    (repo / "data").mkdir()
    (repo / "data/a").write_text("1")
    (repo / "data/b").write_text("1")
    (repo / "x.log").write_text("1")
    (repo / "big").write_bytes(b"x" * 3000)
    policy = Policy(max_file=2000)
    assert not {"data/a", "x.log", "big"} & set(files(repo, shoot(repo, policy)))
    snapshot = shoot(repo, policy, ("data", "./x.log".removeprefix("./"), "big"))
    assert {"data/a", "data/b", "x.log", "big"} <= set(files(repo, snapshot))
    assert not snapshot.left_out and "data/a" in snapshot.untracked
    assert {entry.kind for entry in planned(repo, policy, ("data",)).entries if "data/" in entry.path} == {"ignored"}


def test_include_takes_patterns_and_says_what_fits_nothing(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.cfg\n")
    (repo / "deep").mkdir()
    (repo / "deep/a.cfg").write_text("1")
    found = planned(repo, None, ("*.cfg", "nothing-here", "../outside", ":strange"))
    assert "deep/a.cfg" in {entry.path for entry in found.entries}
    assert found.unmatched == ("nothing-here", "../outside", ":strange")


def test_include_of_a_tracked_file_fits_it_although_it_did_not_change(repo: Path) -> None:
    assert planned(repo, None, ("train.py", "READ*", "none")).unmatched == ("none",)


def test_include_in_the_settings_may_fit_nothing(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.cfg\n")
    (repo / "a.cfg").write_text("1")
    found = planned(repo, Policy(include=("*.cfg", "*.none")))
    assert "a.cfg" in {entry.path for entry in found.entries} and not found.unmatched


def test_exclude_keeps_files_out_and_names_them(repo: Path) -> None:
    (repo / "notes.txt").write_text("1")
    (repo / "train.py").write_text("2\n")
    policy = Policy(exclude=("*.txt", "train.py"))
    snapshot = shoot(repo, policy)
    assert set(files(repo, snapshot)) == {"README", "train.py"}
    assert content(repo, snapshot, "train.py") == b'print("trained")\n'
    assert left(snapshot, "notes.txt").reason == "excluded in the settings"
    assert left(snapshot, "train.py").reason == "excluded in the settings; the snapshot has the committed version"
    assert "notes.txt" in files(repo, shoot(repo, policy, ("notes.txt",)))


@pytest.mark.parametrize(("pattern", "path"), [("a/", "a/b"), (".", "x"), ("*.py", "d/x.py"), ("a/b", "a/b")])
def test_a_pattern_means_a_path_a_directory_or_a_wildcard(pattern: str, path: str) -> None:
    assert matches(pattern, path)
    assert not matches("other", path)


def test_environments_and_caches_are_one_entry_each_at_any_depth(repo: Path) -> None:
    for name in (
        ".venv/pyvenv.cfg", ".venv/lib/x.py", "deep/env/pyvenv.cfg", "deep/env/lib/y.py", "deep/code.py",
        "conda/conda-meta/history", "conda/bin/python", "web/node_modules/m/index.js", "web/app.js",
        "__pycache__/train.pyc", "deep/__pycache__/code.pyc",
    ):  # fmt: skip
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text("1")
    snapshot = shoot(repo)
    assert set(files(repo, snapshot)) == {"README", "train.py", "deep/code.py", "web/app.js"}
    assert {entry.path for entry in snapshot.left_out} == {
        ".venv", "deep/env", "conda", "web/node_modules", "__pycache__", "deep/__pycache__"
    }  # fmt: skip
    included = shoot(repo, None, ("deep/env",))
    assert "deep/env/lib/y.py" in files(repo, included) and "deep/env" not in {e.path for e in included.left_out}


def test_too_much_untracked_data_goes_as_one_directory_and_the_code_beside_it_stays(repo: Path) -> None:
    (repo / "project/data").mkdir(parents=True)
    for number in range(10):
        (repo / f"project/data/{number}").write_bytes(b"x" * 100)
    (repo / "project/code.py").write_bytes(b"x" * 50)
    snapshot = shoot(repo, Policy(max_total=400))
    assert "project/code.py" in files(repo, snapshot)
    entry = left(snapshot, "project/data")
    assert entry.size == 1000 and "10 files" in entry.reason
    many = shoot(repo, Policy(max_files=5))
    assert "project/code.py" in files(repo, many) and left(many, "project/data")
    assert "project/data/3" in files(repo, shoot(repo, Policy(max_total=400), ("project/data",)))


def test_the_smallest_directory_that_is_enough_goes_then_the_heaviest() -> None:
    sizes = {"a/x": 5, "a/y": 5, "b/x": 30, "top": 1}
    assert heaviest(sizes, 35, lambda size: size) == ["a/"]
    assert heaviest(sizes, 15, lambda size: size) == ["b/"]
    assert heaviest(sizes, 0, lambda size: size) == ["b/", "a/", "top"]
    assert heaviest(sizes, 100, lambda size: size) == []


@pytest.mark.parametrize(
    "name", [".env", ".env.local", "id_rsa", "server.pem", "deep/credentials.json", ".aws/credentials"]
)
def test_an_untracked_file_of_secrets_is_left_out_by_its_name(repo: Path, strict: FilePolicy, name: str) -> None:
    (repo / name).parent.mkdir(exist_ok=True)
    (repo / name).write_text("PASSWORD=x\n")
    snapshot = shoot(repo, strict)
    assert name not in files(repo, snapshot) and "secrets" in left(snapshot, name).reason
    assert name in files(repo, shoot(repo, strict, (name,)))


def test_an_untracked_file_that_holds_a_secret_is_left_out(repo: Path, strict: FilePolicy) -> None:
    (repo / "config.py").write_bytes(b"key = '" + KEY + b"'\n")
    (repo / "fine.py").write_bytes(b"key = os.environ['KEY']\n")
    (repo / "noise.npy").write_bytes(b"\0" + KEY)
    snapshot = shoot(repo, strict)
    assert {"fine.py", "noise.npy"} <= set(files(repo, snapshot)) and "config.py" not in files(repo, snapshot)
    assert "AWS Access Key" in left(snapshot, "config.py").reason
    assert KEY.decode() not in json.dumps(snapshot)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_secret_in_utf_16_is_found_and_what_was_committed_is_no_news(
    repo: Path, strict: FilePolicy, encoding: str
) -> None:
    text = f"key = '{KEY.decode()}'\r\n"
    (repo / "config.ps1").write_bytes(text.encode(encoding))
    assert "AWS Access Key" in left(shoot(repo, strict), "config.ps1").reason
    sh(repo, "add", "config.ps1")
    sh(repo, "commit", "-qm", "too late")
    (repo / "config.ps1").write_bytes((text + "lr = 0.1\r\n").encode(encoding))
    assert not shoot(repo, strict).left_out


def test_a_staged_new_file_with_a_secret_is_left_out(repo: Path, strict: FilePolicy) -> None:
    (repo / "config.py").write_bytes(KEY)
    sh(repo, "add", "config.py")
    snapshot = shoot(repo, strict)
    assert "config.py" not in files(repo, snapshot) and left(snapshot, "config.py")


def test_a_tracked_file_with_a_new_secret_keeps_its_committed_content(repo: Path, strict: FilePolicy) -> None:
    (repo / "train.py").write_bytes(b"key = '" + KEY + b"'\n")
    for stage in (False, True):
        if stage:
            sh(repo, "add", "train.py")
        snapshot = shoot(repo, strict)
        assert content(repo, snapshot, "train.py") == b'print("trained")\n'
        assert left(snapshot, "train.py").include
    assert KEY in content(repo, shoot(repo, strict, ("train.py",)), "train.py")


def test_a_secret_that_is_committed_already_does_not_keep_changes_out(repo: Path, strict: FilePolicy) -> None:
    (repo / "train.py").write_bytes(b"key = '" + KEY + b"'\n")
    sh(repo, "commit", "-qam", "too late")
    (repo / "train.py").write_bytes(b"key = '" + KEY + b"'\nlr = 0.1\n")
    snapshot = shoot(repo, strict)
    assert b"lr = 0.1" in content(repo, snapshot, "train.py") and not snapshot.left_out


def test_a_tracked_env_file_is_captured_until_a_new_password_comes_in(repo: Path, strict: FilePolicy) -> None:
    (repo / ".env").write_text("WORKERS=4\nDB_PASSWORD=old\n")
    sh(repo, "add", ".env")
    sh(repo, "commit", "-qm", "env")
    (repo / ".env").write_text("WORKERS=8\nDB_PASSWORD=old\n")
    assert b"WORKERS=8" in content(repo, shoot(repo, strict), ".env")
    (repo / ".env").write_text("WORKERS=8\nDB_PASSWORD=new\n")
    snapshot = shoot(repo, strict)
    assert b"WORKERS=4" in content(repo, snapshot, ".env") and left(snapshot, ".env")


def test_an_unchanged_plan_is_given_back_under_the_rules_of_a_real_run(repo: Path, strict: FilePolicy) -> None:
    (repo / "new").write_text("1")
    git = git_at(repo)
    first = plan(git, strict)
    assert plan(git, FilePolicy(*strict), previous=first) is first
    assert plan(git, strict._replace(max_file=5), previous=first) is not first
