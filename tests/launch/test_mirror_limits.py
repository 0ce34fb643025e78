"""What a host may not do to a home: fill its disk, make records that nobody takes, speak for another host."""

import os
import shutil

import keeping
import pytest
from host_journal import ID, tip

from gittrack import errors
from gittrack.runs import folding, live


def refuses(mirror, why):
    with pytest.raises(errors.HostFailed, match=why) as caught:
        mirror.sync()
    assert caught.value.kind == "refused"


def swell(job):
    """Parameters of more than any other clone would take, and the end of the run."""
    for number in range(5):
        job.write({"e": "params", "source": "code", "t": 1.0, "values": {f"p{number}": "x" * 7_000_000}, "w": 1001.0})
    job.end()


@pytest.mark.parametrize("is_killed", [False, True], ids=["brought and folded", "killed in between"])
@pytest.mark.parametrize("in_part", [False, True])
def test_no_way_leads_to_a_record_that_nobody_else_would_take(job, home, mirror, is_killed, in_part):
    if in_part:
        job.write(keeping.point(1))
        job.cut()
        mirror.sync()
    before = tip(home)
    swell(job)
    directory = live.folder(home.paths, ID)
    if is_killed:  # the last cut is here, and the next command folds it
        mirror.close()
        shutil.copytree(job.run, directory, dirs_exist_ok=True)
        with pytest.raises(errors.RefConflict, match=r"no sound record: its params.json has 35,"):
            folding.fold_dead(home, 2000.0)
        assert folding.fold_dead(home, 2000.0) == folding.Dead([], []), "said once"
    else:
        refuses(mirror, r"no sound record: its params.json has 35,")
    assert os.listdir(live.root(home.paths)) == [f"{ID}.refused"]
    assert tip(home) == before and (before is not None) is in_part, "what came before stays"
