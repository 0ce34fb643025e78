"""Texts in UTF-16, which git takes for binary: the hook finds secrets there, too."""

import subprocess
from pathlib import Path

import pytest
from hook_helpers import KEY


def stage(repo: Path, name: str, data: bytes) -> None:
    (repo / name).write_bytes(data)
    subprocess.run(["git", "add", "--", name], cwd=repo, check=True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_secret_in_utf_16_is_refused_by_line(hooked, commit, encoding):
    stage(hooked, "config ü.ps1", f"# Settings\r\n$env:REGION = 'eu'\r\n$key = '{KEY}'\r\n".encode(encoding))
    done = commit()
    assert done.returncode == 1
    assert "config ü.ps1:3: looks like a secret" in done.stderr
    assert KEY not in done.stderr


def test_what_it_had_before_and_what_is_said_to_be_none_pass(hooked, commit, git):
    text = f"key = '{KEY}'\r\n"
    stage(hooked, "a.txt", text.encode("utf-16"))
    git("commit", "-q", "--no-verify", "-m", "Long ago")
    stage(hooked, "a.txt", ("one line more\r\n" + text).encode("utf-16"))
    stage(hooked, "b.txt", f"key = '{KEY}'  # pragma: allowlist secret\r\n".encode("utf-16"))
    stage(hooked, "c.txt", f"# pragma: allowlist nextline secret\r\n{text}".encode("utf-16"))
    done = commit()
    assert done.returncode == 0, done.stderr


def test_binary_files_are_no_such_text(hooked, commit):
    stage(hooked, "numbers", b"".join(number.to_bytes(4, "little") for number in range(5000)) + KEY.encode())
    stage(hooked, "zeros", bytes(10_000) + KEY.encode())
    done = commit()
    assert done.returncode == 0, done.stderr
