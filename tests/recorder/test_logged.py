"""Texts, images, figures, tables, histograms and states as files of a run; wrong use that stops nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from journal_reading import RUN_ID, events, parcel

from gittrack.recorder import media
from gittrack.recorder.active import ActiveRun
from gittrack.recorder.complain import WrongUse
from gittrack.recorder.journal import Journal


def artifact(run_dir: Path) -> tuple[dict[str, Any], Path]:
    """The last artifact's line and its one file."""
    line = events(run_dir, "artifact")[-1]
    (path,) = [path for path in parcel(run_dir, line).rglob("*") if path.is_file()]
    return line, path


def test_a_file_is_kept_under_its_own_name_or_another(run: ActiveRun, run_dir: Path) -> None:
    Path("out").mkdir()
    Path("out/confusion.csv").write_text("a,b\n")
    run.log_artifact("out/confusion.csv")
    line, path = artifact(run_dir)
    assert [*line] == ["e", "kind", "name", "parcel", "s", "t", "w"]
    assert (line["kind"], line["name"], line["s"]) == ("file", "out/confusion.csv", None)
    assert path.read_text() == "a,b\n" and path.parts[-2:] == ("out", "confusion.csv")
    run.log_artifact(Path("out/confusion.csv"), name="tables/first.csv")
    line, path = artifact(run_dir)
    assert line["name"] == "tables/first.csv" and path.parts[-2:] == ("tables", "first.csv")
    run.log_artifact("out", "all")
    line, path = artifact(run_dir)
    assert line["name"] == "all" and path.parts[-2:] == ("all", "confusion.csv")


def test_a_name_that_is_no_text_is_written_as_bytes(run: ActiveRun, run_dir: Path) -> None:
    with open(b"latin-\xe9", "wb") as file:
        file.write(b"1")
    run.log_artifact(os.fsdecode(b"latin-\xe9"))
    assert artifact(run_dir)[0]["name"] == {"$": "bytes", "b64": "bGF0aW4t6Q=="}
    run.log_artifact("latin-\udce9", "in/latin-\udce9")
    line, path = artifact(run_dir)
    assert line["name"]["$"] == "bytes" and os.fsencode(path).endswith(b"/in/latin-\xe9")


@pytest.mark.parametrize(
    ("name", "path"),
    [("/etc/passwd", "etc/passwd"), ("../../x", "x"), ("a/./b//c", "a/b/c"), ("a\0b", "a_b"), ("n" * 300, "n" * 255)],
)
def test_a_name_cannot_leave_the_run(run: ActiveRun, run_dir: Path, gently: None, name: str, path: str) -> None:
    run.log_text("hello", name)
    line, file = artifact(run_dir)
    assert str(file.relative_to(parcel(run_dir, line))) == path and file.read_text() == "hello"
    assert line["kind"] == "text"


def test_texts_of_any_letters_are_kept(run: ActiveRun, run_dir: Path) -> None:
    run.log_text("größe 🙂 \ud800\n", "größe.txt")
    assert artifact(run_dir)[1].read_bytes() == "größe 🙂 \\ud800\n".encode()


def pixels(path: Path) -> Any:
    return np.asarray(pytest.importorskip("PIL.Image").open(path))


RAMP = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
COLORS = np.stack([RAMP, RAMP[::-1], RAMP.T.reshape(12, 20), 255 - RAMP], axis=-1)
IMAGES = {
    "gray": (RAMP, RAMP),
    "gray with a channel": (RAMP[..., None], RAMP),
    "color": (COLORS[..., :3], COLORS[..., :3]),
    "color and opacity": (COLORS, COLORS),
    "not contiguous": (COLORS[::-1, ::2, :3], COLORS[::-1, ::2, :3]),
    "floats": (RAMP / 255, RAMP),
    "half floats": (np.array([[0.0, 1.0]], dtype=np.float16), np.array([[0, 255]])),
    "whole numbers": (RAMP.astype(np.int64), RAMP),
    "yes and no": (RAMP > 100, (RAMP > 100) * 255),
    "lists": ([[0, 255], [255, 0]], np.array([[0, 255], [255, 0]])),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_arrays_become_images(run: ActiveRun, run_dir: Path, kind: str) -> None:
    given, shown = IMAGES[kind]
    run.log_image(given, "samples/first", step=7)
    line, path = artifact(run_dir)
    assert (line["kind"], line["name"], line["s"]) == ("image", "samples/first.png", 7)
    assert np.array_equal(pixels(path), shown)


def test_tensors_become_images(run: ActiveRun, run_dir: Path) -> None:
    torch = pytest.importorskip("torch")
    color = torch.from_numpy(COLORS[..., :3].copy()).permute(2, 0, 1)
    for given in (color, color.float() / 255, (color.float() / 255).requires_grad_()):
        run.log_image(given, "first")
        assert np.array_equal(pixels(artifact(run_dir)[1]), COLORS[..., :3])
    run.log_image(color[0].to(torch.bfloat16) / 255, "gray")
    assert np.abs(pixels(artifact(run_dir)[1]).astype(int) - COLORS[..., 0]).max() <= 1


def test_image_files_and_pillow_images_are_kept(run: ActiveRun, run_dir: Path) -> None:
    image = pytest.importorskip("PIL.Image").fromarray(COLORS[..., :3])
    image.save("photo.jpg")
    run.log_image("photo.jpg", "sample")
    line, path = artifact(run_dir)
    assert line["name"] == "sample.jpg" and path.read_bytes() == Path("photo.jpg").read_bytes()
    run.log_image(image, "sample")
    assert artifact(run_dir)[0]["name"] == "sample.png" and np.array_equal(
        pixels(artifact(run_dir)[1]), COLORS[..., :3]
    )
    run.log_image(image, "sample.webp")
    assert artifact(run_dir)[1].read_bytes()[8:12] == b"WEBP"


def test_values_outside_the_range_are_cut_and_said_to_be(
    run: ActiveRun, run_dir: Path, gently: None, capsys: Any
) -> None:
    run.log_image(np.array([[-1.0, 0.0, np.nan, 0.5, 2.0, np.inf]]), "x")
    assert pixels(artifact(run_dir)[1]).tolist() == [[0, 0, 0, 128, 255, 255]]
    assert "0…1" in capsys.readouterr().err


def test_an_image_needs_no_library(under: Any, run_dir: Path) -> None:
    code = """
import gittrack, sys
import numpy as np
gittrack.init().log_image(np.zeros((2, 3), dtype="uint8"), "x")
assert "PIL" not in sys.modules
"""
    under(code)
    assert artifact(run_dir)[1].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_figures_of_matplotlib_are_kept(run: ActiveRun, run_dir: Path) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    for given, name, kept, begin in (
        (figure, "curve", "curve.png", b"\x89PNG"),
        (axes, "curve", "curve.png", b"\x89PNG"),
        (plt, "curve.svg", "curve.svg", b"<?xml"),
        (figure, "v1.5/curve.pdf", "v1.5/curve.pdf", b"%PDF"),
    ):
        run.log_figure(given, name, step=3)
        line, path = artifact(run_dir)
        assert (line["kind"], line["name"], line["s"]) == ("figure", kept, 3) and path.read_bytes().startswith(begin)
    plt.close(figure)


def test_figures_of_plotly_are_kept_as_pages(run: ActiveRun, run_dir: Path) -> None:
    class Figure:  # what plotly's has
        def write_html(self, file: str) -> None:
            Path(file).write_text("<html>")

    run.log_figure(Figure(), "curve")
    line, path = artifact(run_dir)
    assert line["name"] == "curve.html" and path.read_text() == "<html>"


TABLES = {
    "frame": (pd.DataFrame({"a": [1, 2], "b": ["x,y", 'say "z"']}), 'a,b\n1,"x,y"\n2,"say ""z"""\n'),
    "frame with names of rows": (pd.DataFrame({"a": [1]}, index=["first"]), ",a\nfirst,1\n"),
    "rows": ([{"a": 1, "b": None}, {"a": 2.5, "c": "line\nbreak"}], 'a,b,c\n1,,\n2.5,,"line\nbreak"\n'),
    "columns": ({"a": [1, 2], "b": np.array([0.5, 1.5])}, "a,b\n1,0.5\n2,1.5\n"),
    "numbers of numpy": ([{"a": np.float32(0.5), "b": True}], "a,b\n0.5,True\n"),
    "nothing": ([], "\n"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_become_csv(run: ActiveRun, run_dir: Path, kind: str) -> None:
    given, content = TABLES[kind]
    run.log_table(given, "rows")
    line, path = artifact(run_dir)
    assert (line["kind"], line["name"], path.read_text()) == ("table", "rows.csv", content)


VALUES = np.random.default_rng(1).normal(size=1000)


@pytest.mark.parametrize("bins", [64, 1, [-3.0, 0.0, 0.5, 3.0]])
def test_histograms_are_those_of_numpy_with_it_and_without(
    run: ActiveRun, run_dir: Path, monkeypatch: pytest.MonkeyPatch, bins: Any
) -> None:
    counts, edges = np.histogram(VALUES, bins)
    run.log_histogram(VALUES, "weights", step=1, bins=bins)
    line, path = artifact(run_dir)
    found = json.loads(path.read_text())
    assert (line["kind"], line["name"], line["s"]) == ("histogram", "weights.json", 1)
    assert found["counts"] == counts.tolist() and np.allclose(found["bins"], edges)
    values = VALUES.tolist()
    monkeypatch.delitem(sys.modules, "numpy")
    assert json.loads(media.histogram(values, bins)) == found


@pytest.mark.parametrize("values", [[], [2, 2, 2], [1, float("nan"), float("inf"), 3], [[1, 2], [3, [4]]], range(10)])
def test_histograms_of_anything_count_what_is_finite(run: ActiveRun, run_dir: Path, values: Any) -> None:
    run.log_histogram(values, "h", bins=4)
    found = json.loads(artifact(run_dir)[1].read_text())
    assert len(found["bins"]) == 5 and sorted(set(found["bins"])) == found["bins"]
    assert sum(found["counts"]) == {0: 0, 2: 4}.get(len(values), len(values)) - found.get("not_finite", 0)


def test_histograms_of_tensors(run: ActiveRun, run_dir: Path) -> None:
    torch = pytest.importorskip("torch")
    run.log_histogram(torch.ones(3, 4, dtype=torch.bfloat16, requires_grad=True), "h", bins=2)
    assert sum(json.loads(artifact(run_dir)[1].read_text())["counts"]) == 12
    run.log_histogram([torch.ones(2), torch.tensor(3.0)], "h", bins=2)
    assert sum(json.loads(artifact(run_dir)[1].read_text())["counts"]) == 3


class Hostile:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


WRONG = [
    ("log_artifact", (3,)),
    ("log_artifact", (["a", "b"],)),
    ("log_artifact", ("gone",)),
    ("log_artifact", ("x", 3)),
    ("log_text", (3, "x")),
    ("log_text", ("x", None)),
    ("log_text", ("x", "..")),
    ("log_image", (3, "x")),
    ("log_image", (np.zeros((3, 8, 8)), "x")),
    ("log_image", (np.full((2, 2), 300), "x")),
    ("log_image", (np.zeros((0, 2)), "x")),
    ("log_image", (np.array([["a"]]), "x")),
    ("log_image", (Hostile(), "x")),
    ("log_figure", (3, "x")),
    ("log_table", (3, "x")),
    ("log_table", ({"a": [1], "b": [1, 2]}, "x")),
    ("log_table", ([1, 2], "x")),
    ("log_table", ({"a": 1}, "x")),
    ("log_histogram", ("text", "x")),
    ("log_histogram", (["a"], "x")),
    ("log_histogram", ([1], "x", None, 0)),
    ("log_histogram", ([1], "x", None, [3, 2, 1])),
    ("log_histogram", (Hostile(), "x")),
]


@pytest.mark.parametrize(("call", "args"), WRONG, ids=range(len(WRONG)))
def test_wrong_use_warns_once_and_leaves_nothing(
    run: ActiveRun, run_dir: Path, call: str, args: tuple[Any, ...], gently: None, capsys: Any
) -> None:
    for _ in range(3):
        assert getattr(run, call)(*args) is None
    said = capsys.readouterr().err
    assert said.count("gittrack:") == 1 and f"gittrack: {call}" in said
    assert events(run_dir, "artifact") == [] and not [*run_dir.glob("parcels/*")]


def test_strictly_wrong_use_raises(run: ActiveRun) -> None:
    with pytest.raises(WrongUse, match="takes a text"):
        run.log_text(3, "x")  # type: ignore[arg-type]
    with pytest.raises(WrongUse, match="takes a name"):
        run.log_image(RAMP, None)  # type: ignore[arg-type]


def test_ranks_are_told_apart(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    run = ActiveRun(Journal(str(run_dir)), RUN_ID, joined=True)
    run.log_text("x", "x")
    run.finish()
    assert events(run_dir, "artifact")[0]["r"] == 3


STATE = """
import gittrack, torch
run = gittrack.init()
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.Adam(model.parameters())
model(torch.ones(1, 3)).sum().backward(); optimizer.step()
run.checkpoint(state={"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, step=10)
torch.save(model.state_dict(), "expected.pt")
"""


def test_a_state_is_saved_by_torch(under: Any, run_dir: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    under(STATE, GITTRACK_AUTOLOG="0")
    (line,) = events(run_dir, "checkpoint")
    state = torch.load(parcel(run_dir, line) / "checkpoint.pt", weights_only=True)
    expected = torch.load(tmp_path / "expected.pt", weights_only=True)
    assert line["s"] == 10 and state["epoch"] == 3 and len(state["optimizer"]["state"]) == 2
    assert all(torch.equal(state["model"][name], expected[name]) for name in expected)


def test_state_and_files_go_together(run: ActiveRun, run_dir: Path) -> None:
    pytest.importorskip("torch")
    Path("checkpoint.pt").write_text("mine")
    Path("config.json").write_text("{}")
    run.checkpoint(1, state={"a": 1}, path=["checkpoint.pt", "config.json"])
    names = os.listdir(parcel(run_dir, events(run_dir, "checkpoint")[0]))
    assert sorted(names) == ["checkpoint-2.pt", "checkpoint.pt", "config.json"]


def test_a_state_that_cannot_be_saved_costs_a_warning(run: ActiveRun, run_dir: Path, gently: None, capsys: Any) -> None:
    pytest.importorskip("torch")
    Path("config.json").write_text("{}")
    run.checkpoint(1, {"loss": 0.5}, state={"f": lambda: 0})
    run.checkpoint(2, {"loss": 0.4}, state={"f": lambda: 0}, path="config.json")
    lines = events(run_dir, "checkpoint")
    assert ["parcel" in line for line in lines] == [False, True]
    assert os.listdir(parcel(run_dir, lines[1])) == ["config.json"]
    assert len(os.listdir(run_dir / "parcels")) == 1
    assert capsys.readouterr().err.count("torch.save failed") >= 1


def test_without_torch_a_state_cannot_be_saved_and_it_is_said(under: Any, run_dir: Path, bare: str) -> None:
    code = "import gittrack\ngittrack.init().checkpoint(1, {'a': 1.0}, state={'b': 2})"
    done = under(code, python=bare, GITTRACK_STRICT="0")
    assert "torch, which cannot be imported" in done.stderr and "path=" in done.stderr
    assert len(events(run_dir, "checkpoint")) == 1


def test_recording_loads_none_of_the_libraries(tmp_path: Path) -> None:
    code = """
import sys
from gittrack.recorder import active
assert not {"csv", "json", "re", "shutil", "threading", "typing", "torch", "numpy"} & set(sys.modules), sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
