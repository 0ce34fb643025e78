"""Checkpoints in Python: their files open, load and come back, and whatever they hold, nothing of it runs."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import builder
import pytest

import gittrack
from gittrack.compare import api, checkpoints, files
from gittrack.errors import RunNotFound, Unsupported, UsageError, WouldOverwrite

SCRIPT = """
import os, sys, gittrack
run = gittrack.init()
os.makedirs("out", exist_ok=True)
for step in range(3):
    with open("out/model.bin", "wb") as file:
        file.write(b"weights %d " % step * 200_000)
    with open("out/config.json", "w") as file:
        file.write('{"step": %d}' % step)
    run.log({"loss": (step - 1) ** 2}, step=step)
    run.checkpoint(step=step, metrics={"loss": (step - 1) ** 2}, primary_metric=("loss", "minimize"), path="out")
run.checkpoint(step=3, metrics={"loss": 9, "accuracy": 0.5})
run.log_artifact("out/config.json", name="last.json")
"""


def record(repo: Path, script: str) -> gittrack.compare.api.RunView:
    (repo / "train.py").write_text(script)
    argv = [str(Path(sys.executable).parent / "git-track"), "run", "-q", "python", "train.py"]
    done = subprocess.run(argv, cwd=repo, capture_output=True)
    assert done.returncode == 0, done.stderr
    return api.runs(repo=str(repo))[0]


@pytest.fixture
def run(repo):
    return record(repo, SCRIPT)


def test_checkpoints_have_steps_metrics_and_files(run):
    assert [one.step for one in run.checkpoints] == [0, 1, 2, 3]
    assert [one.metrics for one in run.checkpoints][1] == {"loss": 0}
    assert [one.path for one in run.checkpoints[0].files] == ["out/config.json", "out/model.bin"]
    assert run.checkpoints[0].w > 1e9
    assert run.checkpoints[3].files == []
    assert [one.path for one in run.artifacts][-1] == "last.json"
    assert "step 1" in repr(run.checkpoints[1])
    assert len(repr(run.checkpoints).splitlines()) == 4


def test_the_best_the_latest_and_one_of_a_step_are_found(run):
    assert api.runs(repo=run._place.paths.worktree).best("loss").best().step == 1
    assert run.best("loss").step == run.best().step == 1
    assert run.latest().step == 3
    assert run.checkpoints.at(2).step == 2
    with pytest.raises(RunNotFound):
        run.checkpoints.at(7)
    with pytest.raises(UsageError) as caught:
        run.best("accuracy")
    assert "goals: {accuracy: minimize}" in caught.value.hint
    with pytest.raises(RunNotFound):
        run.best("acuracy")


def test_files_are_opened_without_being_copied(run):
    with run.best().open("out/model.bin") as file:
        file.seek(10)
        assert file.read(10) == b"weights 1 "
    with run.open("last.json") as file:
        assert file.read() == b'{"step": 2}'
    with run.open("out/model.bin") as file:
        assert file.read(9) == b"weights 2"
    with pytest.raises(RunNotFound) as caught:
        run.best().open("model.bin")
    assert "out/model.bin" in caught.value.hint
    with pytest.raises(UsageError) as several:
        run.best().open()
    assert "2 files" in several.value.message
    with pytest.raises(RunNotFound):
        run.open("nothing")
    with pytest.raises(RunNotFound):
        run.latest().open()


def test_a_checkpoint_is_written_into_a_folder_and_overwrites_nothing_unasked(run, tmp_path):
    run.best().checkout(tmp_path / "out")
    found = tmp_path / "out" / "out" / "config.json"
    assert found.read_text() == '{"step": 1}'
    assert not (tmp_path / "out" / "last.json").exists()
    found.write_text("mine")
    with pytest.raises(WouldOverwrite, match=r"^1 file in .* would be overwritten") as refused:
        run.best().checkout(tmp_path / "out")
    assert "force=True" in refused.value.hint
    assert found.read_text() == "mine"
    run.checkpoints[0].checkout(str(tmp_path / "out"), force=True)
    assert found.read_text() == '{"step": 0}'


def test_the_checkpoint_to_go_on_from_is_the_last_one_with_files(run, repo):
    found = checkpoints.last_of(str(repo), run.id)
    assert found is not None
    assert found.step == 2
    with pytest.raises(RunNotFound):
        checkpoints.last_of(str(repo), "0" * 20)


def test_a_run_without_checkpoints_has_none_to_go_on_from(repo):
    store = builder.opened(repo)
    [plain] = builder.make_runs(store, 1)
    [marked] = builder.write_runs(store, [builder.journal(5, {}, [0.5, 0.3], checkpoints=True)])
    assert checkpoints.last_of(str(repo), plain) is None
    found = checkpoints.last_of(str(repo), marked)
    assert found is not None
    assert found.step == 1
    with pytest.raises(RunNotFound):
        api.runs(repo=str(repo), where="loss > 0.9")[:0].latest()
    store.close()


SAVING = """
import sys, gittrack
run = gittrack.init()
{made}
run.checkpoint(step=1, path="{path}")
"""


def test_tensors_of_torch_are_loaded_on_the_cpu(repo):
    torch = pytest.importorskip("torch")
    made = 'import torch; torch.save({"w": torch.arange(4.0), "epoch": 3, "names": ["a"]}, "model.pt")'
    run = record(repo, SAVING.format(made=made, path="model.pt"))
    found = run.latest().load()
    assert torch.equal(found["w"], torch.arange(4.0))
    assert (found["epoch"], found["names"]) == (3, ["a"])
    assert torch.equal(run.latest().load("model.pt", mmap=False)["w"], found["w"])


def test_a_state_that_was_handed_over_is_loaded_again(repo):
    torch = pytest.importorskip("torch")
    script = "import torch, gittrack\nrun = gittrack.init()\nrun.checkpoint(step=1, state={'w': torch.ones(3)})\n"
    assert torch.equal(record(repo, script).latest().load()["w"], torch.ones(3))


def test_a_file_too_large_for_memory_is_loaded_from_disk(repo, monkeypatch):
    torch = pytest.importorskip("torch")
    made = 'import torch; torch.save({"w": torch.zeros(2_000_000)}, "model.pt")'
    run = record(repo, SAVING.format(made=made, path="model.pt"))
    monkeypatch.setattr(files, "IN_MEMORY", 1000)
    assert torch.equal(run.latest().load()["w"], torch.zeros(2_000_000))


def test_safetensors_are_loaded(repo):
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    made = 'import torch; from safetensors.torch import save_file; save_file({"w": torch.ones(3)}, "m.safetensors")'
    run = record(repo, SAVING.format(made=made, path="m.safetensors"))
    assert torch.equal(run.latest().load()["w"], torch.ones(3))


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("kind", ["torch", "legacy", "pickle"])
@pytest.mark.parametrize("environment", [{}, {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}], ids=["plain", "forced"])
def test_a_malicious_checkpoint_runs_nothing(repo, tmp_path, monkeypatch, kind, environment):
    torch = pytest.importorskip("torch")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ran = tmp_path / "ran"
    if kind == "pickle":
        (repo / "model.pt").write_bytes(pickle.dumps({"w": Evil(ran)}))
    else:
        torch.save({"w": Evil(ran)}, repo / "model.pt", _use_new_zipfile_serialization=kind == "torch")
    run = record(repo, SAVING.format(made="", path="model.pt"))
    for options in ({}, {"weights_only": False}, {"pickle_module": pickle}):
        with pytest.raises((Unsupported, UsageError)) as caught:
            run.latest().load(**options)
        assert "weights_only=False" in caught.value.hint
    run.latest().checkout(tmp_path / "out")
    assert not ran.exists()
    pickle.loads(pickle.dumps(Evil(ran)))  # and it would have
    assert ran.exists()


def test_what_is_no_tensor_file_is_said(repo):
    pytest.importorskip("torch")
    run = record(repo, SAVING.format(made="open('model.pt', 'w').write('text')", path="model.pt"))
    with pytest.raises(Unsupported) as caught:
        run.latest().load()
    assert "model.pt is no file that can be loaded" in caught.value.message


def resumed(number: int, step: int | None, losses: list[float], first: int) -> bytes:
    """A run that goes on from the run before it."""
    more = [
        {"m": {"loss": loss}, "s": first + at, "t": 1.0 + at, "w": builder.T0 + 60 * number + at}
        for at, loss in enumerate(losses)
    ]
    continues = {"run": builder.run_id(number - 1), "step": step}
    return builder.journal(number, {}, [], more=more, continues=continues)


def test_the_series_of_a_resumed_run_is_one_line_with_those_before_it(repo):
    store = builder.opened(repo)
    builder.write_runs(
        store,
        [
            builder.journal(0, {}, [0.9, 0.8, 0.7, 0.6]),
            resumed(1, 2, [0.5, 0.4, 0.3], first=3),
            resumed(2, 4, [0.2], first=5),
        ],
    )
    last, middle, first = api.runs(repo=str(repo))
    assert last.parent_run == middle
    assert middle.parent_run == first
    assert first.parent_run is None
    assert last.metrics("loss").to_dict() == {5: 0.2}
    assert middle.metrics("loss", chain=True).to_dict() == {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.5, 4: 0.4, 5: 0.3}
    whole = last.metrics("loss", chain=True)
    assert whole.to_dict() == {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.5, 4: 0.4, 5: 0.2}
    assert last.metrics(chain=True)["loss"].to_dict() == whole.to_dict()
    assert last.metrics("val/acc", chain=True).index.tolist() == [0, 1, 2]
    store.close()


def test_a_chain_that_goes_round_or_leads_nowhere_ends(repo):
    store = builder.opened(repo)
    circle = builder.journal(1, {}, [0.5], continues={"run": builder.run_id(1), "step": 3})
    lost = builder.journal(2, {}, [0.4], continues={"run": "f" * 20, "step": 3})
    builder.write_runs(store, [circle, lost])
    nowhere, around = api.runs(repo=str(repo))
    assert around.metrics("loss", chain=True).to_dict() == {0: 0.5}
    assert nowhere.metrics("loss", chain=True).to_dict() == {0: 0.4}
    assert nowhere.parent_run is None
    store.close()
