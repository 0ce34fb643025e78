"""Files that cannot be read stop no job that did not ask for them, as they stop no run of this machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sending_rig import code_of

from gittrack.launch.sending import inputs

SCRIPT = """
import json, sys
sys.path[:0] = {path!r}
from pathlib import Path
from test_sending_inputs import left_out
from gittrack.errors import UsageError
from gittrack.launch.sending import inputs
code, facts = left_out(Path({repo!r}), 1000)
said = []
for patterns in ([], ["data/"], ["data/closed"], ["data/changing"]):
    try:
        found = inputs.find(code, patterns, facts)
        said.append([sorted(file.path for file in found.files), found.remarks])
    except UsageError as error:
        said.append(error.message)
print(json.dumps(said))
"""


@pytest.fixture
def prefix(repo: Path) -> list[str]:
    """Another user where the tests run as root, whom nothing stops."""
    (repo / ".gitignore").write_text("data/\n")
    (repo / "data").mkdir()
    for name in ("open.bin", "closed.bin", "data/open", "data/closed"):
        (repo / name).write_bytes(name.encode() * 1000)
        (repo / name).chmod(0 if "closed" in name else 0o644)
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv to give up root")
    for place, names, more in os.walk(repo.parent):
        for name in (place, *(os.path.join(place, each) for each in names + more)):
            os.chown(name, 65534, 65534, follow_symlinks=False)
    for parent in list(repo.parents)[1:4]:
        parent.chmod(0o755)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_what_cannot_be_read_is_left_out_and_said_unless_it_was_named_itself(repo: Path, prefix: list[str]) -> None:
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    script = SCRIPT.format(path=sys.path, repo=str(repo))
    done = subprocess.run([*prefix, sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    by_themselves, in_folder, named, missing = json.loads(done.stdout)
    unread = "not sent, since they cannot be read: "
    assert by_themselves == [["open.bin"], [f"{unread}'closed.bin'"]]
    assert in_folder == [["data/open", "open.bin"], [f"{unread}'data/closed', 'closed.bin'"]]
    assert "data/closed cannot be read" in named
    assert "nothing fits" in missing


def test_what_was_too_much_to_be_hashed_is_not_passed_over_in_silence(repo: Path) -> None:
    from_facts = [{"path": "huge.bin", "size": 5 << 30, "reason": "larger than 10 MB", "sha256": None}]
    (repo / "huge.bin").touch()
    done = inputs.find(code_of(repo), [], from_facts)
    assert done.files == () and "'huge.bin'" in done.remarks[0] and "inputs:" in done.remarks[0]
