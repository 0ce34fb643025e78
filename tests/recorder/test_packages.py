"""What is recorded of an environment installs again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gittrack.recorder import packages


def installed(folder: Path, name: str, direct: object = None) -> None:
    path = folder / name
    path.mkdir()
    if direct is not None:
        (path / "direct_url.json").write_text(direct if isinstance(direct, str) else json.dumps(direct, indent=1))


def lines(*folders: Path) -> list[str]:
    return packages.requirements([str(folder) for folder in folders]).splitlines()


def test_packages_are_read_from_the_names_of_folders(tmp_path: Path) -> None:
    for name in ("Foo_Bar-1.0.dist-info", "zope.interface-6.1.dist-info", "a-2.0.post1+cpu.dist-info", "a", "b.py"):
        installed(tmp_path, name)
    installed(tmp_path, "egg-0.5-py3.9.egg-info")
    (tmp_path / "file_egg-0.6-py3.9-linux-x86_64.egg-info").write_text("Name: x\n")
    assert lines(tmp_path) == [
        "a==2.0.post1+cpu", "egg==0.5", "file-egg==0.6", "foo-bar==1.0", "zope-interface==6.1",
    ]  # fmt: skip


def test_the_first_of_a_name_on_the_path_counts(tmp_path: Path) -> None:
    for folder, version in (("one", "1"), ("two", "2")):
        (tmp_path / folder).mkdir()
        installed(tmp_path / folder, f"a-{version}.dist-info")
    (tmp_path / "archive.zip").write_bytes(b"")
    assert lines(tmp_path / "one", tmp_path / "two", tmp_path / "archive.zip", tmp_path / "none") == ["a==1"]


SOURCES = [
    (
        {"url": "https://github.com/x/y", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}},
        "a @ git+https://github.com/x/y@abc",
    ),
    (
        {"url": "https://ann:hunter2@github.com/x/y", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
        "a @ git+https://ann:[redacted]@github.com/x/y@abc",
    ),
    ({"url": "file:///home/x/a", "dir_info": {"editable": True}}, "# a==1 (editable, file:///home/x/a)"),
    ({"url": "file:///home/x/a", "dir_info": {}}, "# a==1 (file:///home/x/a)"),
    ({"url": "https://example.org/a.whl", "archive_info": {}}, "a @ https://example.org/a.whl"),
    ("not json", "a==1"),
    ("[]", "a==1"),
    ("", "a==1"),
    ({"url": 3}, "a==1"),
]


@pytest.mark.parametrize(("direct", "line"), SOURCES)
def test_sources_other_than_an_index_are_named(tmp_path: Path, direct: object, line: str) -> None:
    installed(tmp_path, "a-1.dist-info", direct)
    assert lines(tmp_path) == [line]


def test_sources_under_development_are_a_comment(tmp_path: Path) -> None:
    installed(tmp_path, "My_Project.egg-info")
    assert lines(tmp_path) == [f"# my-project (in development, {tmp_path})"]


def test_pip_names_the_same_packages() -> None:
    """pip itself is the judge: every name and version that `pip list` has here, and no other."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
        capture_output=True, check=True,
    )  # fmt: skip
    theirs = {packages._normal(item["name"]) for item in json.loads(listing.stdout)}
    ours = {line.lstrip("# ").partition("==")[0].partition(" @")[0] for line in lines(*map(Path, sys.path))}
    assert ours == theirs
