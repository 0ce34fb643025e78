"""Our folder at a host is made by whoever comes first, and many may come at once."""

import subprocess
from pathlib import Path

from gittrack.launch.link import shelling

AT_ONCE, ROUNDS = 12, 12


def test_many_who_make_it_at_once_all_find_it_theirs(tmp_path: Path) -> None:
    """Each puts something into it as soon as it may."""
    use = shelling.FOLDER + 'mkdir -p jobs && : > "jobs/$$"\n'
    for number in range(ROUNDS):
        folder = tmp_path / str(number)
        argv = shelling.script(use, str(folder))
        made = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(AT_ONCE)]
        said = [process.communicate()[0] for process in made]
        assert [process.returncode for process in made] == [0] * AT_ONCE
        assert set(said) == {f"gittrack\n1\n{folder}\n"}


def test_a_folder_that_holds_other_things_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    done = subprocess.run(shelling.script(shelling.FOLDER, str(tmp_path)), capture_output=True, check=False)
    assert done.returncode == shelling.OTHERS
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]
