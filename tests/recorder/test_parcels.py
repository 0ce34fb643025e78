"""Files handed over with a run: what is taken, under which names, and what is said of the rest."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from journal_reading import RUN_ID, events, held, interpreters, parcel, warnings

from gittrack.recorder.active import ActiveRun
from gittrack.recorder.complain import WrongUse
from gittrack.recorder.journal import Journal
from gittrack.recorder.parcels import name_in_run


def test_a_checkpoint_takes_a_file_that_may_change_at_once(run: ActiveRun, run_dir: Path) -> None:
    Path("model.pt").write_bytes(b"first")
    run.checkpoint(path="model.pt", step=10, metrics={"val_loss": 0.3}, primary_metric=("val_loss", "minimize"))
    Path("model.pt").write_bytes(b"second")
    (line,) = events(run_dir, "checkpoint")
    assert [*line] == ["e", "m", "parcel", "primary", "s", "t", "w"] and line["s"] == 10
    assert held(parcel(run_dir, line)) == {"model.pt": b"first"}
    moment, pid, rest = line["parcel"].split("-")
    assert (len(moment), pid, len(rest)) == (13, str(os.getpid()), 4)


def test_the_path_may_come_first_and_the_old_order_stays(run: ActiveRun, run_dir: Path) -> None:
    Path("model.pt").write_bytes(b"1")
    run.checkpoint("model.pt")
    run.checkpoint(Path("model.pt"), {"loss": 1.0})
    run.checkpoint(3, {"loss": 0.5}, ("loss", "minimize"))
    lines = events(run_dir, "checkpoint")
    assert ["parcel" in line for line in lines] == [True, True, False]
    assert [line["s"] for line in lines] == [0, 1, 3] and [*lines[2]] == ["e", "m", "primary", "s", "t", "w"]


def test_a_folder_is_kept_with_modes_links_and_any_name(run: ActiveRun, run_dir: Path, gently: None) -> None:
    deep = Path("out/größe 🙂/" + "/".join(["d" * 200] * 10))
    deep.mkdir(parents=True)
    (deep / ("n" * 255)).write_text("deep")
    Path("out/empty").touch()
    Path("out/nothing").mkdir()
    Path("out/run.sh").write_text("#!")
    Path("out/run.sh").chmod(0o755)
    Path("out/.git").mkdir()
    Path("out/.git/HEAD").write_text("ref")
    with open(b"out/latin-\xe9", "wb") as file:
        file.write(b"bytes")
    os.symlink("run.sh", "out/link")
    os.symlink("/nowhere", "out/broken")
    os.symlink("größe 🙂", "out/folder")
    os.mkfifo("out/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("out/socket")
        run.checkpoint(1, path="out")
    (line,) = events(run_dir, "checkpoint")
    folder = parcel(run_dir, line)
    assert held(folder) == {
        "out/empty": b"",
        "out/run.sh": b"#!",
        "out/.git/HEAD": b"ref",
        os.fsdecode(b"out/latin-\xe9"): b"bytes",
        f"{deep}/{'n' * 255}": b"deep",
        "out/link": "run.sh",
        "out/broken": "/nowhere",
        "out/folder": "größe 🙂",
    }
    assert os.access(folder / "out/run.sh", os.X_OK) and not os.access(folder / "out/empty", os.X_OK)
    (warning,) = warnings(run_dir)
    assert "out/pipe is no file" in warning and "out/socket is no file" in warning


NAMES = [
    ("model.pt", "model.pt"),
    ("./out//model.pt", "out/model.pt"),
    ("out/../model.pt", "model.pt"),
    ("/tmp/out/model.pt", "model.pt"),
    ("../other/model.pt", "model.pt"),
    ("out/", "out"),
    ("..", "root"),
]


@pytest.mark.parametrize(("given", "name"), NAMES)
def test_a_file_is_called_as_it_was_given_below_the_current_directory(
    given: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/tmp")
    assert name_in_run(given.encode()).decode() == name


def test_files_of_one_name_are_told_apart_and_none_is_kept_twice(run: ActiveRun, run_dir: Path, tmp_path: Path) -> None:
    for n, folder in enumerate(("a", "b", "c")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.pt").write_text(str(n))
    Path("a").write_text("a file")
    Path("in").mkdir()
    Path("in/x").write_text("x")
    given = [
        tmp_path / "a" / "model.pt",
        tmp_path / "b" / "model.pt",
        tmp_path / "c" / "model.pt",
        "in/x",
        "in",
        "in/x",
    ]
    run.checkpoint(1, path=[*given, tmp_path / "a", "a"])
    assert held(parcel(run_dir, events(run_dir, "checkpoint")[0])) == {
        "model.pt": b"1",
        "model-2.pt": b"2",
        "in/x": b"x",
        "a/model.pt": b"0",
        "a-2": b"a file",
    }


def test_a_link_given_as_the_path_is_followed(run: ActiveRun, run_dir: Path) -> None:
    Path("epoch-3.pt").write_text("3")
    os.symlink("epoch-3.pt", "latest.pt")
    run.checkpoint(1, path="latest.pt")
    assert held(parcel(run_dir, events(run_dir, "checkpoint")[0])) == {"latest.pt": b"3"}


def test_what_is_not_there_costs_a_warning_not_the_metrics(
    run: ActiveRun, run_dir: Path, gently: None, capsys: Any
) -> None:
    for wrong in ("gone.pt", 3, "", [], ["gone.pt"], [1]):
        run.checkpoint(1, {"loss": 0.5}, path=wrong)
    lines = events(run_dir, "checkpoint")
    assert len(lines) == 6 and not any("parcel" in line for line in lines)
    assert warnings(run_dir)[0] == "checkpoint: gone.pt does not exist"
    said = capsys.readouterr().err
    assert said.count("gone.pt does not exist") == 1 and said.count("path is a path or a list of paths") == 3
    assert [*(run_dir / "parcels").iterdir()] == []


def test_strictly_the_trouble_is_raised_after_it_was_recorded(run: ActiveRun, run_dir: Path) -> None:
    with pytest.raises(WrongUse, match="does not exist"):
        run.checkpoint(1, {"loss": 0.5}, path="gone.pt")
    assert len(events(run_dir, "checkpoint")) == 1


def test_a_file_that_cannot_be_read_is_left_out(under: Any) -> None:
    """By a user who is not root; what pytest makes is for its own user alone."""
    code = """
import gittrack, os
run = gittrack.init()
run.log({"loss": 1.0}, step=0)
os.chdir(os.environ["GITTRACK_RUN_DIR"] + "/..")
if os.getuid() == 0:
    for path in (".", "live"):
        os.chmod(path, 0o777)
    os.setuid(65534)
os.mkdir("out"); open("out/open", "w").close(); open("out/shut", "w").close(); os.chmod("out/shut", 0)
os.mkdir("out/folder"); os.chmod("out/folder", 0)
run.checkpoint(1, path="out")
os.chmod("out/folder", 0o700)
"""
    with tempfile.TemporaryDirectory() as place:
        live = Path(place) / "live"
        live.mkdir()
        starter = Journal(str(live), "run.jsonl")
        starter.event("start", run={"id": RUN_ID}, goals={})
        done = under(code, GITTRACK_RUN_DIR=str(live), GITTRACK_STRICT="0", GITTRACK_AUTOLOG="0")
        starter.close()
        assert held(parcel(live, events(live, "checkpoint")[0])) == {"out/open": b""}, done.stderr
    assert "out/shut cannot be read" in done.stderr and "out/folder cannot be read" in done.stderr


def test_a_link_whose_place_has_too_long_a_path_is_left_out_alone(run: ActiveRun, run_dir: Path, gently: None) -> None:
    """It has a path in the training's folder, and the copy lies deeper."""
    below = len(f"{run_dir}/parcels/{'0' * 13}-{os.getpid()}-0000.new/")
    deep = "out/" + "/".join(["d" * 99] * 50)[: 4090 - below - len("out/")].rstrip("/")
    os.makedirs(deep)
    os.symlink("elsewhere", f"{deep}/{'l' * 20}")
    Path("out/good").write_text("good")
    run.checkpoint(1, path="out")
    assert held(parcel(run_dir, events(run_dir, "checkpoint")[0])) == {"out/good": b"good"}
    (warning,) = warnings(run_dir)
    assert warning.startswith(f"checkpoint: {deep[:1900]}")


def test_after_the_end_nothing_is_copied(run: ActiveRun, run_dir: Path, gently: None, capsys: Any) -> None:
    Path("model.pt").write_text("1")
    run.checkpoint(1, path="model.pt")
    run.finish()
    for _ in range(3):
        run.checkpoint(2, path="model.pt")
        run.log_artifact("model.pt")
    assert len([*(run_dir / "parcels").iterdir()]) == 1
    assert capsys.readouterr().err.count("finished") == 3


EVERYTHING = """
import gittrack, os, sys
run = gittrack.init()
assert "numpy" not in sys.modules and "json" not in sys.modules
os.makedirs("out", exist_ok=True)
open("out/model", "w").close()
run.checkpoint(1, path=["out", "program.py"])
run.log_artifact("program.py", "code/it.py")
run.log_text("hello", "notes.txt")
run.log_table([{"a": 1, "b": "x,y"}, {"a": 2}], "rows")
run.log_histogram([0.0, 0.5, 1.0], "h", bins=2)
"""


@pytest.mark.parametrize("version", interpreters())
def test_every_supported_interpreter_hands_over_files(under: Any, run_dir: Path, version: str) -> None:
    under(EVERYTHING, python=interpreters()[version])
    (line,) = events(run_dir, "checkpoint")
    assert [*held(parcel(run_dir, line))] == ["program.py", "out/model"]
    assert [(one["kind"], one["name"]) for one in events(run_dir, "artifact")] == [
        ("file", "code/it.py"), ("text", "notes.txt"), ("table", "rows.csv"), ("histogram", "h.json")
    ]  # fmt: skip
