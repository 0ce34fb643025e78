"""The pre-commit hook, through `git commit`."""

import json
import os
import resource
import subprocess
from pathlib import Path

import pytest
from hook_helpers import KEY


def add(repo: Path, path: str, content: bytes | str) -> None:
    file = repo / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    subprocess.run(["git", "add", "--", path], cwd=repo, check=True)


def refused(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 1, done.stderr
    for text in said:
        assert text in done.stderr


def passed(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert "gittrack" not in done.stderr


def test_an_ordinary_commit_passes_without_a_word(hooked, commit):
    add(hooked, "model.py", "layers = 3\n")
    passed(commit())


def test_a_model_is_refused_and_it_is_said_what_to_run(hooked, commit, git):
    add(hooked, "out/model.pt", os.urandom(100))
    refused(commit(), "out/model.pt", "run.checkpoint(path='out/model.pt')", "git lfs track '*.pt'", "--no-verify")
    assert git("log", "--oneline").count("\n") == 0


def test_no_verify_commits_it(hooked, commit):
    add(hooked, "model.pt", os.urandom(100))
    passed(commit("-q", "--no-verify", "-m", "All the same"))


def test_what_is_said_to_do_instead_works(hooked, commit, git):
    add(hooked, "model.pt", os.urandom(100))
    add(hooked, "train2.py", "x = 1\n")
    subprocess.run("git rm -q --cached model.pt && echo /model.pt >> .gitignore", shell=True, cwd=hooked, check=True)
    passed(commit())
    assert (hooked / "model.pt").exists()
    assert "model.pt" not in git("ls-files")


def test_a_pointer_of_git_lfs_passes(hooked, commit):
    oid = "a" * 64
    add(hooked, "model.pt", f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345\n")
    passed(commit())


def test_a_file_that_git_lfs_should_have_but_has_not_seen_is_said_to_be_so(hooked, commit):
    add(hooked, "model.pt", b"weights" * 100)
    add(hooked, ".gitattributes", "*.pt filter=lfs diff=lfs merge=lfs -text\n")
    refused(commit(), "git lfs install && git add --renormalize model.pt")


def test_a_large_binary_is_refused_and_a_text_of_that_size_is_not(hooked, commit):
    add(hooked, "words.txt", "word " * 1_100_000)
    passed(commit())
    add(hooked, "data.bin", b"\0\1" * 2_600_000)
    refused(commit(), "data.bin", "5.2 MB")


def test_limit_patterns_and_allow_list_are_settings(hooked, commit, git):
    (hooked / "gittrack.yaml").write_text("hook_large: 1kB\nhook_models: ['*.weights']\nhook_allow: [fixtures]\n")
    add(hooked, "fixtures/a.weights", os.urandom(50))
    add(hooked, "b.pt", os.urandom(50))
    passed(commit())
    add(hooked, "a.weights", os.urandom(50))
    add(hooked, "c.dat", b"\0" * 1001)
    refused(commit(), "a.weights", "c.dat")
    git("config", "track.hookAllow", "*.weights,c.dat")
    passed(commit())


def test_a_secret_is_refused_by_line_and_not_shown(hooked, commit):
    add(hooked, "conf.py", f"a = 1\nb = 2\nkey = '{KEY}'\n")
    done = commit()
    refused(done, "conf.py:3", "AWS Access Key", "pragma: allowlist secret")
    assert KEY not in done.stderr


def test_only_added_lines_are_searched(hooked, commit, git):
    add(hooked, "conf.py", f"a = 1\nkey = '{KEY}'\nb = 2\n")
    git("commit", "-q", "--no-verify", "-m", "Old")
    add(hooked, "conf.py", f"a = 11\nkey = '{KEY}'\nb = 22\nc = 3\n")
    passed(commit())
    add(hooked, "conf.py", f"if True:\n    key = '{KEY}'\n")  # indented: it is in history already
    passed(commit())
    add(hooked, "conf.py", "if True:\n    pass\n")
    passed(commit())
    add(hooked, "conf.py", f"if True:\n    pass\n# {KEY}\n")
    refused(commit(), "conf.py:3")


@pytest.mark.parametrize(
    "text",
    [
        f"key = '{KEY}'  # pragma: allowlist secret\n",
        f"# pragma: allowlist nextline secret\nkey = '{KEY}'\n",
    ],
)
def test_a_line_with_the_pragma_passes(hooked, commit, text):
    add(hooked, "conf.py", text)
    passed(commit())


def test_the_next_line_pragma_may_be_an_old_line(hooked, commit):
    add(hooked, "conf.py", "# pragma: allowlist nextline secret\n")
    passed(commit())
    add(hooked, "conf.py", f"# pragma: allowlist nextline secret\nkey = '{KEY}'\n")
    passed(commit())


@pytest.mark.parametrize("allow", [KEY, "aws access key"])
def test_what_the_settings_allow_passes(hooked, commit, allow):
    (hooked / "gittrack.yaml").write_text(f"redact:\n  allow: ['{allow}']\n")
    add(hooked, "conf.py", f"key = '{KEY}'\n")
    passed(commit())


def test_own_patterns_are_searched_for_and_the_search_can_be_turned_off(hooked, commit, git):
    (hooked / "gittrack.yaml").write_text("redact: ['corp-[0-9a-f]{12}']\n")
    add(hooked, "conf.py", "key = 'corp-0123456789ab'\n")
    refused(commit(), "conf.py:1", "corp-")
    git("config", "track.hookSecrets", "false")
    passed(commit())


def test_a_private_key_in_a_file_with_an_odd_name_is_found(hooked, commit):
    body = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaQ1"
    add(hooked, 'k ü"x\t.txt', f"\n-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    refused(commit(), 'k ü"x\N{REPLACEMENT CHARACTER}.txt:2', "Private Key")


def test_the_index_counts_and_not_the_work_tree(hooked, commit):
    add(hooked, "conf.py", "key = None\n")
    (hooked / "conf.py").write_text(f"key = '{KEY}'\n")
    passed(commit())
    add(hooked, "conf.py", f"key = '{KEY}'\n")
    (hooked / "conf.py").write_text("key = None\n")
    refused(commit(), "conf.py:1")


def test_commit_all_and_commit_of_a_path_are_judged_by_what_they_commit(hooked, commit, git):
    (hooked / "train.py").write_text(f"key = '{KEY}'\n")
    refused(commit("-q", "-a", "-m", "x"), "train.py:1")
    add(hooked, "conf.py", f"key = '{KEY}'\n")
    git("checkout", "-q", "train.py")
    (hooked / "README").write_text("more\n")
    passed(commit("-q", "-m", "only this", "README"))
    refused(commit("-q", "-m", "and this", "conf.py"), "conf.py:1")
    refused(commit("-q", "-m", "the index"), "conf.py:1")


def test_from_a_subdirectory_and_with_explicit_directories(hooked, commit, tmp_path):
    add(hooked, "sub/model.pt", os.urandom(50))
    refused(commit(cwd=hooked / "sub"), "sub/model.pt")
    argv = ["git", f"--git-dir={hooked}/.git", f"--work-tree={hooked}", "commit", "-q", "-m", "x"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    refused(done, "sub/model.pt")


def test_a_first_commit_is_judged(hooked, tmp_path, commit):
    fresh = tmp_path / "fresh"
    subprocess.run(["git", "init", "-q", str(fresh)], check=True)
    subprocess.run(["cp", "-r", str(hooked / ".git" / "hooks"), str(fresh / ".git")], check=True)
    add(fresh, "conf.py", f"key = '{KEY}'\n")
    refused(commit(cwd=fresh), "conf.py:1")
    add(fresh, "conf.py", "key = None\n")
    passed(commit(cwd=fresh))


def test_renames_modes_links_and_deleted_files_pass(hooked, commit, git):
    add(hooked, "model.pt", os.urandom(100))
    add(hooked, "conf.py", f"a = 1\nkey = '{KEY}'\n")
    git("commit", "-q", "--no-verify", "-m", "Old sins")
    git("mv", "model.pt", "renamed.pt")
    git("mv", "conf.py", "settings.py")
    (hooked / "settings.py").chmod(0o755)
    git("add", "settings.py")
    (hooked / "link.pt").symlink_to("renamed.pt")
    git("add", "link.pt")
    passed(commit())
    git("rm", "-q", "renamed.pt")
    passed(commit())


def test_a_submodule_passes(hooked, commit, git, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["git", "clone", "-q", str(hooked), str(other)], check=True)
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "module.pt")
    git("config", "diff.submodule", "log")
    passed(commit())


def test_of_a_merge_only_what_it_adds_itself_is_judged(hooked, commit, git):
    git("checkout", "-q", "-b", "side")
    add(hooked, "train.py", "side\n")
    add(hooked, "theirs.pt", os.urandom(50))
    add(hooked, "theirs.py", f"key = '{KEY}'\n")
    git("commit", "-q", "--no-verify", "-m", "Theirs")
    git("checkout", "-q", "main")
    add(hooked, "train.py", "main\n")
    passed(commit())
    git("merge", "-q", "side", code=1)
    add(hooked, "train.py", "both\n")
    add(hooked, "own.py", f"x = 1\nkey = '{KEY}'\n")
    done = commit("-q", "--no-edit")
    refused(done, "own.py:2")
    assert "theirs" not in done.stderr
    add(hooked, "own.py", "x = 1\n")
    passed(commit("-q", "--no-edit"))


def test_settings_of_the_user_do_not_blind_it(hooked, commit, git):
    for key, value in {
        "diff.noprefix": "true", "diff.mnemonicPrefix": "true", "color.ui": "always", "diff.external": "true",
        "diff.renames": "copies", "core.quotePath": "true", "diff.relative": "true", "diff.algorithm": "patience",
    }.items():  # fmt: skip
        git("config", key, value)
    add(hooked, "sub/ü conf.py", f"x = 1\nkey = '{KEY}'\n")
    refused(commit(cwd=hooked / "sub"), "sub/ü conf.py:2")


def test_a_text_whose_changes_are_not_shown_is_searched(hooked, commit):
    add(hooked, ".gitattributes", "*.ipynb -diff\n*.lock binary\n*.dat -diff\n")
    add(hooked, "n.ipynb", f"one\n{KEY}\n")
    add(hooked, "a.lock", f"{KEY}\n")
    add(hooked, "b.dat", f"\0\n{KEY}\n")
    done = commit()
    refused(done, "n.ipynb:2", "a.lock:1")
    assert "b.dat" not in done.stderr


def test_many_secrets_in_files_that_may_have_them_hide_none_elsewhere(hooked, commit):
    (hooked / "gittrack.yaml").write_text("hook_allow: [fixtures]\n")
    add(hooked, "fixtures/a.txt", f"{KEY}\n" * 300)
    add(hooked, "z.py", f"key = '{KEY}'\n")
    refused(commit(), "z.py:1")


def test_notebook_outputs_are_refused_when_that_is_asked_for(hooked, commit, git):
    cells = [{"cell_type": "code", "outputs": [{"text": "1"}], "source": "1"}, {"cell_type": "markdown"}]
    add(hooked, "n.ipynb", json.dumps({"cells": cells}))
    git("config", "track.hookNotebooks", "true")
    refused(commit(), "n.ipynb", "nbconvert --clear-output")
    add(hooked, "n.ipynb", json.dumps({"cells": cells[1:]}))
    add(hooked, "broken.ipynb", "[[[")
    passed(commit())


def test_ten_thousand_files_are_judged_in_seconds(hooked, commit, git):
    for number in range(10_000):
        place = hooked / f"d{number // 500}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.py").write_text(f"x = {number}\ny = 'some text that is not secret at all'\n" * 5)
    (hooked / "d7" / "last.py").write_text(f"key = '{KEY}'\n")
    git("add", ".")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    refused(commit(), "d7/last.py:1")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 10


def test_a_secret_beyond_the_first_block_is_found_in_its_place(hooked, commit):
    filler = "a line of text that fills\n" * 400_000
    add(hooked, "a.txt", filler + f"{KEY}\n" + filler)
    add(hooked, "b.txt", f"one\n{KEY}9\n{KEY}\n")
    (hooked / "gittrack.yaml").write_text("hook_large: 50MB\n")
    refused(commit(), "a.txt:400001", "b.txt:3")


def test_colleagues_programs_in_the_repository_are_not_run(hooked, commit):
    for name in ("gittrack.py", "re.py", "json.py", "sitecustomize.py"):
        add(hooked, name, "raise SystemExit('taken over')\n")
    done = commit()
    passed(done)
    assert "taken over" not in done.stderr


def test_a_name_that_is_a_pattern_is_allowed_as_it_is_said(hooked, commit):
    add(hooked, "runs [1], all/m.pt", b"weights")
    done = commit()
    refused(done, 'hook_allow: ["runs [1], all/m.pt"]')
    (hooked / "gittrack.yaml").write_text('hook_allow: ["runs [1], all/m.pt"]\n')
    passed(commit())


def test_an_empty_line_before_it_does_not_shift_the_number(hooked, commit, git):
    git("config", "diff.suppressBlankEmpty", "true")
    add(hooked, "a.py", "x = 1\n\n")
    passed(commit())
    add(hooked, "a.py", f"x = 1\n\nkey = '{KEY}'\n")
    refused(commit(), "a.py:3")
