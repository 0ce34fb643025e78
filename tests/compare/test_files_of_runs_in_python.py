"""`run.artifacts` and `checkpoint.files`: each file opens, loads and comes back, and a list of them can be read."""

import io

import builder
import keeping
import pytest
import stored

from gittrack.compare import api
from gittrack.errors import RunNotFound, WouldOverwrite


@pytest.fixture
def run(repo):
    store = builder.opened(repo)
    made = keeping.Run(store.paths)
    for step in range(3):
        made.write(keeping.point(step), keeping.artifact(10 + step, "w0.json", "histogram", step))
        made.keep(10 + step, {"w0.json": b"w%d" % step})
    made.write(keeping.checkpoint(2, 1))
    made.keep(1, {"<b>.pt": b"m" * 1_500_000, "config.json": b"{}"})
    made.write(keeping.end())
    yield api.runs(repo=str(repo))[0]
    store.close()


def test_each_file_that_was_logged_can_be_read_back(run):
    logged = [one for one in run.artifacts if one.path == "w0.json"]
    assert [(one.step, one.read(), one.open().read()) for one in logged] == [
        (step, b"w%d" % step, b"w%d" % step) for step in range(3)
    ]
    with run.open("w0.json", step=1) as file:
        assert file.read() == b"w1"
    with pytest.raises(RunNotFound) as caught:
        run.open("w0.json", step=7)
    assert "0, 1, 2" in caught.value.hint


def test_one_file_is_written_into_a_folder_and_overwrites_nothing_unasked(run, tmp_path):
    run.artifacts[0].checkout(tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["w0.json"]
    with pytest.raises(WouldOverwrite) as refused:
        run.artifacts[1].checkout(tmp_path / "out")
    assert "force=True" in refused.value.hint
    run.artifacts[1].checkout(tmp_path / "out", force=True)
    assert (tmp_path / "out" / "w0.json").read_bytes() == b"w1"


def test_a_file_loads_as_a_checkpoint_does(repo):
    torch = pytest.importorskip("torch")
    data = io.BytesIO()
    torch.save({"w": torch.ones(2)}, data)
    store = builder.opened(repo)
    stored.run(store, 1, {1: {"m.pt": data.getvalue()}}, logged={"n.pt": data.getvalue()})
    store.close()
    (first,) = api.runs(repo=str(repo))
    assert [one.load()["w"].tolist() for one in first.artifacts] == [[1.0, 1.0]] * 2
    assert first.latest().files[0].load()["w"].tolist() == [1.0, 1.0]


def test_lists_of_files_are_tables_without_anything_of_ours(run):
    files = run.checkpoints[0].files
    assert repr(files).splitlines() == [
        "path         step  size    kind",
        "<b>.pt       2     1.5 MB  checkpoint",
        "config.json  2     2 B     checkpoint",
        "2 files, 1.5 MB",
    ]
    assert "<td>&lt;b&gt;.pt</td><td>2</td><td>1.5 MB</td>" in files._repr_html_()
    assert "5 files, 1.5 MB" in repr(run.artifacts) and "parcel" not in repr(run.artifacts)
    assert repr(files[1]) == f"<file config.json of {run.id[:7]} at step 2: 2 B, checkpoint>"
    assert files[1] == run.checkpoints[0].files[1] != files[0] and len({*files, *files}) == 2
