"""What is said of steps, names and states that are not as one would think, and that the run has it, too."""

import json
from pathlib import Path
from typing import Any

import pytest

from gittrack.recorder.active import ActiveRun

pytestmark = pytest.mark.usefixtures("gently")


def lines(run: ActiveRun, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for path in Path(run.dir).glob("*.jsonl") for line in path.read_text().splitlines()]
    return [line for line in found if line.get("e") == kind]


def warnings(run: ActiveRun) -> str:
    return "\n".join(line["text"] for line in lines(run, "warning"))


def test_a_checkpoint_without_a_step_is_at_the_last_that_was_said(run: ActiveRun, tmp_path: Path) -> None:
    for step in (1, 2, None):
        run.checkpoint(step=step, metrics={"acc": 1})
    run.log({"loss": 1.0}, step=4)
    run.checkpoint(metrics={"acc": 1})
    run.checkpoint()
    run.checkpoint(step=7)
    run.checkpoint()
    assert [line["s"] for line in lines(run, "checkpoint")] == [1, 2, 2, 4, 4, 7, 7]


def test_where_no_step_was_ever_said_checkpoints_are_counted(run: ActiveRun) -> None:
    for number in range(3):
        run.checkpoint(metrics={"acc": number} if number else None)
    assert [line["s"] for line in lines(run, "checkpoint")] == [0, 1, 2]


def test_a_step_that_is_none_and_no_file_is_said_to_be_so(
    run: ActiveRun, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run.checkpoint(step="xyz", metrics={"acc": 1})  # type: ignore[arg-type]
    assert "'xyz' is neither a whole number" in capfd.readouterr().err
    (line,) = lines(run, "checkpoint")
    assert line["s"] == 0 and "parcel" not in line and "'xyz' is neither" in warnings(run)
    (tmp_path / "model.pt").write_text("x")
    run.checkpoint("model.pt")  # type: ignore[arg-type]
    assert "parcel" in lines(run, "checkpoint")[1]


def test_each_wrong_use_is_said_and_recorded_by_itself(run: ActiveRun, capfd: pytest.CaptureFixture[str]) -> None:
    for primary in ("first", "second", "second"):
        run.checkpoint(step=1, metrics={"acc": 1}, primary_metric=primary)  # type: ignore[arg-type]
    run.log_text("x", "")
    run.log_artifact(3)
    said = capfd.readouterr().err
    for text in ("not 'first'", "not 'second'", "log_text takes a name", "log_artifact takes a path"):
        assert said.count(text) == 1 and warnings(run).count(text) == 1


def test_a_name_that_is_kept_as_another_one_is_said(
    run: ActiveRun, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text("x")
    run.log_artifact(tmp_path / "x.txt", name="../../up.txt")
    run.log_artifact(tmp_path / "x.txt", name="./plain//name.txt")
    run.log_image(tmp_path / "x.txt", "t.jpg")
    said = capfd.readouterr().err
    assert "../../up.txt is kept as up.txt" in said and "plain" not in said
    assert "t.jpg is kept as t.jpg.txt" in said and "t.jpg is kept" in warnings(run)


def test_a_whole_model_in_a_state_is_warned_of_when_it_is_recorded(
    run: ActiveRun, capfd: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(2, 2)
    run.checkpoint(step=1, state={"model": model.state_dict(), "epoch": 3})
    assert capfd.readouterr().err == ""
    run.checkpoint(step=2, state={"model": model, "epoch": 3})
    assert "state['model'].state_dict()" in capfd.readouterr().err and "load() opens tensors only" in warnings(run)
    run.checkpoint(step=3, state=model)
    assert "give state.state_dict()" in capfd.readouterr().err
    assert all("parcel" in line for line in lines(run, "checkpoint"))
