"""`git track diff`: values by us, code by git."""

import json
import re

import builder
import pytest


@pytest.fixture
def pair(store, git, repo):
    """Two runs, the second with an edit and another package."""
    base = git("rev-parse", "HEAD")
    (repo / "train.py").write_text('print("trained")\nprint("twice")\n')
    (repo / "née.py").write_text("new\n")
    git("add", "née.py")
    snapshot = git("stash", "create")
    git("reset", "-q", "--hard")

    def files(version):
        value = f"torch=={version}\nnumpy==2.0\n"
        system = {"cpu": {"count": 2}, "build": version}
        return [
            {"e": "environment", "name": "requirements.txt", "value": value, "t": 1, "w": 1},
            {"e": "environment", "name": "system.json", "value": system, "t": 1, "w": 1},
        ]

    first = builder.journal(1, {"lr": 0.1, "epochs": 5}, [0.5], more=files("2.1"), base=base, snapshot=base)
    second = builder.journal(
        2, {"lr": 0.25, "epochs": 5, "seed": 1}, [0.25], more=files("2.2"), base=base, snapshot=snapshot
    )
    return builder.write_runs(store, [first, second])


def test_only_differences_are_shown_and_then_the_code(pair, call):
    out = call("diff", "latest~1", "latest")
    assert re.search(r"lr +0\.1 +0\.25 +\+0\.15", out)
    assert re.search(r"seed +- +1", out)
    assert "epochs" not in out
    assert "numpy" not in out
    assert re.search(r"torch +2\.1 +2\.2", out)
    assert re.search(r"loss +0\.5 +0\.25 +-0\.25", out)
    assert '+print("twice")' in out
    assert "cpu" not in out
    assert "\033" not in out


def test_the_code_is_what_git_shows(pair, call, git):
    out = call("diff", "latest~1", "latest", "--code")
    command = re.search(r"git (diff \w+ \w+)", call("diff", "latest~1", "latest"))[1]
    assert out.rstrip("\n") == git(*command.split())


def test_stat_shows_files_only(pair, call):
    out = call("diff", "latest~1", "latest", "--stat")
    assert "1 file changed" in out or "2 files changed" in out
    assert "twice" not in out


def test_paths_limit_the_code_to_them_from_where_one_stands(pair, call, repo, monkeypatch):
    (repo / "sub").mkdir()
    monkeypatch.chdir(repo / "sub")
    assert "twice" in call("diff", "latest~1", "latest", "--code", "--", "../train.py")
    assert call("diff", "latest~1", "latest", "--code", "--", "../README") == ""


def test_json_has_both_values_and_the_files(pair, call):
    found = json.loads(call("diff", "latest~1", "latest", "--json"))
    assert found["params"]["lr"] == {"before": 0.1, "after": 0.25, "delta": pytest.approx(0.15)}
    assert found["params"]["seed"] == {"before": None, "after": 1}
    assert {"path": "train.py", "added": 1, "deleted": 0} in found["code"]["files"]
    assert {"path": "née.py", "added": 1, "deleted": 0} in found["code"]["files"]


def test_a_run_does_not_differ_from_itself(pair, call):
    out = call("diff", "latest", "latest")
    assert "no difference" in out
    assert "the same:" in out


def test_a_run_without_a_snapshot_is_named(store, call):
    builder.make_runs(store, 2)
    assert "no snapshot was kept of run" in call("diff", "latest~1", "latest")


def test_code_that_is_not_in_this_clone_is_an_error(store, call):
    builder.write_runs(store, [builder.journal(n, {}, [1], snapshot=f"{n}" * 40) for n in (1, 2)])
    call("diff", "latest~1", "latest", "--code", code=80)
    assert "not in this clone" in call.err


def test_a_terminal_gets_git_colours_through_the_users_pager(pair, terminal, git):
    shown = terminal("diff", "latest~1", "latest", GIT_PAGER="sed 's/^/paged: /'")
    assert "paged: " in shown
    assert '\033[32m+\033[m\033[32mprint("twice")' in shown
    git("config", "pager.diff", "false")
    assert "paged: " not in terminal("diff", "latest~1", "latest", GIT_PAGER="sed 's/^/paged: /'")
    git("config", "--unset", "pager.diff")
    git("config", "core.pager", "sed 's/^/core: /'")
    git("config", "color.ui", "never")
    shown = terminal("diff", "latest~1", "latest", "--code")
    assert "core: +print" in shown


def test_a_pager_that_leaves_early_is_no_error(pair, terminal):
    assert "error" not in terminal("diff", "latest~1", "latest", GIT_PAGER="head -n 1")


def test_beside_a_run_without_python_no_package_is_listed(pair, store, call):
    builder.write_runs(store, [builder.journal(7, {}, [], name="shell")])
    assert "packages" not in call("diff", pair[0], "shell")
