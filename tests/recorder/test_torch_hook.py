"""What torch.save writes is kept with the run, and torch.save is as it always was."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from journal_reading import events

pytest.importorskip("torch")

SAVE = "import torch\ntorch.save({'a': torch.ones(3)}, 'model.pt')\n"


def kept(run_dir: Path) -> list[tuple[str, str, Any]]:
    """Kind, name and step of each artifact, whose file must be there."""
    for line in events(run_dir, "artifact"):
        (folder,) = [*run_dir.glob(f"parcels/{line['parcel']}")]
        assert (folder / line["name"]).stat().st_size > 0
    return [(line["kind"], line["name"], line["s"]) for line in events(run_dir, "artifact")]


def test_under_a_run_saved_files_become_artifacts(under: Any, run_dir: Path, tmp_path: Path) -> None:
    code = """
import os, pathlib, torch
os.mkdir("out")
torch.save({"a": torch.ones(3)}, "model.pt")
torch.save(torch.ones(3), f=pathlib.Path("out/second.pt").absolute())
os.unlink("model.pt")
"""
    assert under(code).stderr == ""
    assert kept(run_dir) == [("torch", "model.pt", None), ("torch", "out/second.pt", None)]


def test_the_step_is_the_one_reached(under: Any, run_dir: Path) -> None:
    under("import gittrack\nrun = gittrack.init()\nrun.log({'loss': 1.0}, step=7)\n" + SAVE)
    assert kept(run_dir) == [("torch", "model.pt", 7)]


def test_torch_that_is_there_before_init_is_followed(under: Any, run_dir: Path) -> None:
    before = "import torch\n"
    under(before + "import gittrack\ngittrack.init()\n" + SAVE, path=())
    after = "import gittrack\ngittrack.init()\n"
    under(after + SAVE, path=())
    under(SAVE, path=())
    assert kept(run_dir) == [("torch", "model.pt", None)] * 2


def test_torch_that_was_only_looked_for_is_followed(under: Any, run_dir: Path) -> None:
    """As libraries do that can work with it and without."""
    under("import importlib.util\nassert importlib.util.find_spec('torch')\nimport argparse\n" + SAVE)
    assert len(kept(run_dir)) == 1


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"GITTRACK_AUTOLOG": "0"}, []),
        ({"GITTRACK_ARTIFACTS": "0"}, []),
        ({"GITTRACK_ARTIFACTS": "false"}, []),
        ({"GITTRACK_ARTIFACTS": "1"}, ["model.pt", "out/model.pt", "out/optimizer.bin"]),
        ({"GITTRACK_ARTIFACTS": "*.pt"}, ["model.pt", "out/model.pt"]),
        ({"GITTRACK_ARTIFACTS": "out/*"}, ["out/model.pt", "out/optimizer.bin"]),
        ({"GITTRACK_ARTIFACTS": "opt*:nothing"}, ["out/optimizer.bin"]),
        ({"GITTRACK_ARTIFACTS": "opt*, model.p[t]"}, ["model.pt", "out/model.pt", "out/optimizer.bin"]),
    ],
    ids=str,
)
def test_the_environment_says_what_is_kept(
    under: Any, run_dir: Path, variables: dict[str, str], names: list[str]
) -> None:
    code = "import os\nos.mkdir('out')\n" + SAVE
    for name in ("out/model.pt", "out/optimizer.bin"):
        code += f"torch.save(1, '{name}')\n"
    under(code + "import gittrack\ngittrack.init()\n", **variables)
    assert [name for _, name, _ in kept(run_dir)] == names


def test_only_files_of_the_project_are_kept(under: Any, run_dir: Path, tmp_path: Path) -> None:
    """Here that is the current directory: the run belongs to no repository."""
    code = """
import io, os, tempfile, torch
with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
    torch.save(1, file)
    torch.save(1, file.name)
buffer = io.BytesIO()
torch.save(1, buffer)
assert buffer.getvalue()
with open("handle.pt", "wb") as file:
    torch.save(1, file)
torch.save(1, os.environ["GITTRACK_RUN_DIR"] + "/mine.pt")
torch.save(1, "/dev/null")
"""
    assert under(code).stderr == ""
    assert kept(run_dir) == []


def test_the_work_tree_of_the_run_counts_wherever_the_program_stands(
    under: Any, run_dir: Path, repo: Path, git: Any, tmp_path: Path
) -> None:
    live = repo / ".git" / "track" / "live" / run_dir.name
    live.parent.mkdir(parents=True)
    os.rename(run_dir, live)
    os.symlink(live, run_dir)
    git("worktree", "add", "-q", str(tmp_path / "linked"))
    subprocess.run(["git", "init", "-q", str(tmp_path / "stranger")], check=True)
    (repo / "out").mkdir()
    code = f"""
import os, torch
for place in ("repo/out/a.pt", "linked/b.pt", "stranger/c.pt", "repo/.git/d.pt"):
    torch.save(1, {str(tmp_path)!r} + "/" + place)
"""
    script = tmp_path / "elsewhere" / "train.py"
    script.parent.mkdir()
    script.write_text(code)
    under(None, "-c", f"import os; os.chdir({str(script.parent)!r}); exec(open('train.py').read())",
          GITTRACK_RUN_DIR=str(live))  # fmt: skip
    assert sorted(line["name"] for line in events(live, "artifact")) == ["b.pt", "out/a.pt"]


def test_torch_save_is_as_it_always_was(under: Any, run_dir: Path) -> None:
    code = """
import inspect, pickle, torch
from torch.serialization import save
assert save is torch.save and pickle.loads(pickle.dumps(save)) is save
assert list(inspect.signature(torch.save).parameters)[:2] == ["obj", "f"]
assert torch.save.__module__ == "torch.serialization" and torch.save.__name__ == "save" and torch.save.__doc__
assert type(torch.__loader__) is type(torch.__spec__.loader) is type(inspect.__loader__)
try:
    torch.save(lambda: 0, "broken.pt")
except (AttributeError, pickle.PicklingError) as error:
    print("raised")
try:
    torch.save(1, "no/such/folder.pt")
except (RuntimeError, OSError):
    print("raised")
class Nested:
    def __reduce__(self):
        torch.save(1, "inner.pt")
        return int, ()
torch.save(Nested(), "outer.pt")
"""
    done = under(code)
    assert done.stdout == "raised\nraised\n" and done.stderr == ""
    assert [name for _, name, _ in kept(run_dir)] == ["outer.pt"]


def test_a_file_that_cannot_be_kept_costs_one_warning(under: Any, run_dir: Path) -> None:
    (run_dir / "parcels").write_text("not a folder")
    done = under(SAVE + SAVE + "print(torch.load('model.pt'))", GITTRACK_STRICT="0")
    assert "tensor" in done.stdout and done.stderr.count("gittrack:") == 1
    assert events(run_dir, "artifact") == []


def test_a_file_that_is_checkpointed_too_has_both_lines(under: Any, run_dir: Path) -> None:
    under(SAVE + "import gittrack\ngittrack.init().checkpoint(1, path='model.pt')")
    assert len(kept(run_dir)) == len(events(run_dir, "checkpoint")) == 1


def test_a_state_that_is_saved_for_the_user_is_no_artifact_of_its_own(under: Any, run_dir: Path) -> None:
    under("import torch\nimport gittrack\ngittrack.init().checkpoint(1, state={'a': torch.ones(1)})")
    assert kept(run_dir) == [] and "parcel" in events(run_dir, "checkpoint")[0]


def test_all_ranks_are_followed(under: Any, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import os, torch\ntorch.save(1, f\"rank{os.environ['RANK']}.pt\")")
    under(None, "-m", "torch.distributed.run", "--nproc_per_node=2", "train.py")
    assert sorted((line["name"], line.get("r", 0)) for line in events(run_dir, "artifact")) == [
        ("rank0.pt", 0), ("rank1.pt", 1)
    ]  # fmt: skip


def test_after_the_run_nothing_is_kept(under: Any, run_dir: Path) -> None:
    under("import gittrack, os\nrun = gittrack.init()\nrun.finish()\nos.environ['GITTRACK_RUN_DIR'] = '/gone'\n" + SAVE)
    assert kept(run_dir) == []
