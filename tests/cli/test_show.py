"""`git track show`: what stands on the page of a run and of a checkpoint."""

import json
import sys

import builder
import pytest

from gittrack.core import layout


@pytest.fixture
def made(store, git):
    """One run with everything; returns its id."""
    head = git("rev-parse", "HEAD")
    system = {"cpu": {"count": 4, "model": "Z80"}, "gpus": [{"name": "H200"}], "os": {"text": "Debian"}}
    environment = {
        "python.json": {"version": "3.12.1", "executable": "/py"},
        "requirements.txt": "torch==2.1\n# mine==0.1 (editable, file:///x)\n",
        "system.json": system,
    }
    more = [{"e": "environment", "name": name, "value": value, "t": 1, "w": 1} for name, value in environment.items()]
    more += [{"e": "warning", "text": "metric `x` was given text", "t": 1, "w": 1}]
    more += [{"m": {"system/cpu": 0.5}, "s": 0, "t": 1, "w": 1}]
    facts = {
        "name": "wide-net", "tags": ["try"], "note": "first\nnote", "base": head, "snapshot": head,
        "experiment": "iris",
        "left_out": [{"path": "big.bin", "size": 2_500_000, "reason": "larger than 1 MB", "sha256": "0" * 64}],
    }  # fmt: skip
    data = builder.journal(1, {"lr": 0.1, "x": "y" * 200}, [0.5, 0.25, 0.3], checkpoints=True, more=more, **facts)
    return builder.write_runs(store, [data])[0]


def test_the_page_says_everything(made, call, git):
    out = call("show")
    head = git("rev-parse", "HEAD")[:10]
    for text in [
        f"run {made}\n", "wide-net", "completed after", "try", "iris", "first\\nnote", "Ann on box",
        f"{head}, the commit that was checked out, unchanged", f"git worktree add --detach DIR {head}",
        "loss ↓ 0.3 @2 0.25 @1 0.25 @1 0.5 @0", "step 1: loss 0.25", "torch 2.1, 2 in all", "3.12.1 (/py)",
        "4 × Z80", "H200", "big.bin 2.5 MB larger than 1 MB", "metric `x` was given text",
    ]:  # fmt: skip
        assert text in " ".join(out.split()) or text in out
    assert "system/cpu" not in out
    assert "system/cpu" in call("show", "--all")
    assert "y" * 100 not in out


def test_json_is_the_whole_record(made, call):
    found = json.loads(call("show", made[:7], "--json"))
    assert found["run"]["id"] == made
    assert found["params"]["lr"] == {"source": "code", "value": 0.1}
    assert found["summary"]["metrics"]["loss"]["best"] == 0.25
    assert found["annotations"]["tags"] == ["try"]
    assert found["environment"]["system.json"]["cpu"]["model"] == "Z80"


def test_annotations_win_over_what_was_given_at_the_start(made, call):
    call("rename", made, "narrow-net")
    call("note", made, "better than it looks")
    out = call("show", "narrow-net")
    assert "narrow-net" in out
    assert "better than it looks" in out


def test_a_checkpoint_is_shown_by_step_best_and_latest(made, call, git):
    assert "checkpoint at step 1 of run" in call("show", "latest@best")
    out = call("show", "wide-net@2")
    assert "loss    0.3" in out
    command = next(line for line in out.splitlines() if line.startswith("record")).partition("git ")[2]
    assert len(git(*command.replace("'", "").replace("step 2:", "step.2:").split()).splitlines()) <= 6
    assert json.loads(call("show", "latest@best", "--json"))["metrics"] == {"loss": 0.25}


def test_a_step_without_a_checkpoint_names_the_nearest(made, call):
    call("show", "latest@77", code=66)
    assert "2" in call.err


def test_the_code_of_changed_work_can_be_looked_at(store, git, call, repo):
    (repo / "train.py").write_text("print(2)\n")
    base, tree = git("rev-parse", "HEAD"), git("stash", "create")
    builder.write_runs(store, [builder.journal(1, {}, [1], base=base, snapshot=tree)])
    out = call("show")
    command = next(line for line in out.splitlines() if "changes" in line).partition("git ")[2]
    assert "+print(2)" in git(*command.split())


def test_a_deleted_run_can_still_be_looked_at(made, call):
    call("rm", made)
    assert "git track restore" in call("show", made)


def test_no_run_and_a_damaged_run_are_errors_with_a_next_step(store, call, made):
    call("show", "nothing", code=66)
    ref = layout.run_ref("f" * 20)
    builder.record(store, {"format": layout.format_line(), "run.json": b"{"}, ref)
    call("show", "f" * 20, code=65)
    assert "doctor" in call.err
    builder.record(store, {"format": b"gittrack 9\n"}, layout.run_ref("e" * 20))
    call("show", "e" * 20, code=75)
    assert "upgrade" in call.err
    assert "damaged" in call("ls")


def test_a_metric_that_is_logged_and_given_to_a_checkpoint_has_as_many_steps_as_there_were(repo, track):
    script = "import gittrack\nrun = gittrack.init()\nfor step in range(8):\n    run.log({'loss': 1.0}, step=step)\n"
    script += "    run.checkpoint(step=step, metrics={'loss': 1.0})\nrun.finish()\n"
    (repo / "train.py").write_text(script)
    track("run", sys.executable, "train.py")
    shown = track("show").stdout.splitlines()
    assert next(line for line in shown if line.split()[:2] == ["name", "last"]).split()[-1] == "steps"
    assert next(line for line in shown if line.split()[:1] == ["loss"]).split()[-1] == "8"
