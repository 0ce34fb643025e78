"""What a host says is looked at before it is used: nothing that it sends leaves its place, fills the memory, or touches
a run that it has nothing to do with."""

import hashlib
import json
import os
import subprocess
import sys

import builder
import keeping
import pytest
from common import noise
from host_journal import ID, Job, cloned, opened, send_off, tip

from gittrack import errors
from gittrack.core import events, layout
from gittrack.launch.home import claims, kept_files
from gittrack.launch.home.mirror import Mirror
from gittrack.launch.link.protocol import Entry
from gittrack.runs import live, overlay


@pytest.fixture(autouse=True)
def sound(repo):
    """Whatever came, git finds nothing wrong with the repository afterwards."""
    yield
    subprocess.run(["git", "fsck", "--strict"], cwd=repo, check=True, capture_output=True)


def cut(job, number, reason="time", status=None, **files):
    line = {"files": {name.replace("_", "."): end for name, end in files.items()}, "n": number, "reason": reason}
    with (job.run / events.CUTS).open("a") as file:
        file.write(json.dumps({**line, "status": status, "w": 1000.0 + number}) + "\n")


def size(job, name=events.STARTER):
    return os.path.getsize(job.run / name)


def refuses(mirror, why):
    with pytest.raises(errors.HostFailed, match=why) as caught:
        mirror.sync()
    assert caught.value.kind == "refused"
    assert "here" in caught.value.message and ID[:7] in caught.value.message


def test_a_journal_that_shrinks_is_refused_and_what_came_stays(job, home, mirror):
    job.write(keeping.point(1))
    job.cut()
    cut(job, 1, run_jsonl=size(job))
    mirror.sync()
    before = tip(home)
    os.truncate(job.run / events.STARTER, size(job) - 10)
    refuses(mirror, "run.jsonl had")
    refuses(mirror, "run.jsonl had")
    assert tip(home) == before
    assert overlay.rows(home.paths, [ID], {})[ID].metrics["loss"]["last_step"] == 1


def test_a_journal_that_changes_what_it_said_is_refused(job, mirror):
    job.write(keeping.point(1))
    cut(job, 0, run_jsonl=size(job))
    mirror.sync()
    text = (job.run / events.STARTER).read_bytes()
    (job.run / events.STARTER).write_bytes(text.replace(b'"s":1', b'"s":9') + b"{}\n")
    refuses(mirror, "says something else")


def test_cuts_that_shrink_or_change_are_refused(job, mirror):
    job.cut()
    mirror.sync()
    os.truncate(job.run / events.CUTS, 10)
    refuses(mirror, "cuts.jsonl had")


@pytest.mark.parametrize("name", [events.STARTER, events.CONSOLE, events.CUTS, "1700000000900-78-bcde.jsonl"])
@pytest.mark.parametrize("what", ["link", "folder", "fifo"])
def test_what_is_no_plain_file_is_not_read(job, home, mirror, tmp_path, name, what):
    job.say(b"x\n")
    job.cut()
    secret = tmp_path / "id_ed25519"
    secret.write_bytes(b'{"m":{"secret":1},"s":1,"t":1,"w":1}\n' * 1000)
    (job.run / name).unlink(missing_ok=True)
    if what == "link":
        (job.run / name).symlink_to(secret)
    elif what == "folder":
        (job.run / name).mkdir()
    else:
        os.mkfifo(job.run / name)
    refuses(mirror, f"{name} is a")
    directory = live.folder(home.paths, ID)
    assert all(b"secret" not in (open(os.path.join(directory, n), "rb").read()) for n in os.listdir(directory))  # noqa: SIM115


def test_a_file_that_becomes_a_link_after_it_was_listed_is_not_followed(job, home, here, mirror, tmp_path):
    job.say(b"first\n")
    mirror.sync()
    secret = tmp_path / "id_ed25519"
    secret.write_bytes(b"first\nsecret\n")
    listed = here.list

    def then_swapped(path):
        found = [one._replace(size=13) if one.name == events.CONSOLE else one for one in listed(path)]
        (job.run / events.CONSOLE).unlink()
        (job.run / events.CONSOLE).symlink_to(secret)
        return found

    here.list = then_swapped
    refuses(mirror, "moment ago")
    with open(os.path.join(live.folder(home.paths, ID), events.CONSOLE)) as file:
        assert file.read() == "first\n"


SWAP = """
import ctypes, os, sys
ours, link = map(os.fsencode, sys.argv[1:])
print(flush=True)
while True:
    ctypes.CDLL(None).renameat2(-100, ours, -100, link, 2)
"""


def test_a_file_that_is_a_link_for_the_moment_it_is_opened_is_not_followed(job, here, tmp_path):
    """As a process in the container may make it, which cannot read that file itself."""
    job.say(b"x" * 9)
    secret, link = tmp_path / "id_ed25519", job.run / "link"
    secret.write_bytes(b"s" * 9)
    link.symlink_to(secret)
    console = f"{here.folder()}/jobs/{ID}/run/{events.CONSOLE}"
    argv = [sys.executable, "-c", SWAP, console, str(link)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as swapping:
        swapping.stdout.readline()
        found = [kept_files.read_many(here, [kept_files.Part(console, 0, 9)]) for _ in range(100)]
        swapping.kill()
    assert {data for one in found if one for data in one} == {b"x" * 9}


@pytest.mark.parametrize("name", ["../../x.jsonl", "x.jsonl", "..", "config", "1700000000900-7-bcde.jsonl/../x", "a\n"])
def test_names_that_no_journal_has_are_passed_over(name):
    assert claims.sizes([Entry(name, 5, "file"), Entry("run.jsonl", 7, "file")]) == {"run.jsonl": 7}


def test_more_files_than_a_run_has_are_refused():
    names = [Entry(f"{1700000000000 + number}-1-abcd.jsonl", 1, "file") for number in range(claims.MOST_FILES + 1)]
    with pytest.raises(claims.Odd, match="files"):
        claims.sizes(names)


def test_a_cut_that_covers_more_than_there_is_is_refused(job, home, mirror):
    cut(job, 0, run_jsonl=size(job) + 1)
    refuses(mirror, "cut 0 covers more than there is")
    assert tip(home) is None


def test_a_cut_of_a_file_that_is_not_there_is_refused(job, mirror):
    with (job.run / events.CUTS).open("a") as file:
        files = {"1700000000900-78-bcde.jsonl": 5}
        file.write(json.dumps({"files": files, "n": 0, "reason": "time", "status": None, "w": 1.0}) + "\n")
    refuses(mirror, "covers more")


@pytest.mark.parametrize("reason, status", [("end", None), ("final", "splendid"), ("time", "running")])
def test_a_cut_that_no_attendant_makes_is_refused(job, mirror, reason, status):
    cut(job, 0, reason, status, run_jsonl=size(job))
    refuses(mirror, "none that an attendant makes")


def test_a_cut_that_goes_back_or_beyond_the_end_is_refused(job, mirror, home, here):
    cut(job, 0, run_jsonl=size(job))
    cut(job, 1, run_jsonl=10)
    refuses(mirror, "goes back")
    assert claims.cuts(b"", 0, []) == []
    known = [events.Cut(0, {}, "final", None, 1.0)]
    with pytest.raises(claims.Odd, match="after its end"):
        claims.cuts(b'{"files":{},"n":1,"reason":"time","status":null,"w":2.0}\n', 0, known)


@pytest.mark.parametrize("file", ["../run.jsonl", "a/b", "x" * 300])
def test_a_cut_names_no_path(job, mirror, file):
    with (job.run / events.CUTS).open("a") as opened_file:
        opened_file.write(json.dumps({"files": {file: 0}, "n": 0, "reason": "time", "status": None, "w": 1.0}) + "\n")
    refuses(mirror, "no file of a journal")


def test_a_run_is_not_another_run(home, mirror):
    job = Job()
    job.write(keeping.header(), keeping.start("f" * 20))
    refuses(mirror, "another run")
    assert home.refs(layout.RUNS) == {}


@pytest.mark.parametrize("fact, value", [("snapshot", "1" * 40), ("user", {"name": "Eve"})])
def test_what_was_sent_is_not_changed_there(home, mirror, fact, value):
    Job(**{fact: value}).start()
    send_off(home.paths)
    refuses(mirror, f"its {fact} is not what was sent")


def test_the_code_that_was_sent_is_not_exchanged(repo, here):
    found = opened(repo)
    run_id = "1" * 20
    send_off(found.paths, run_id, snapshot="2" * 40)
    Job(run_id, snapshot="3" * 40).start()
    with pytest.raises(errors.HostFailed, match="its snapshot is not what was sent"):
        Mirror(here, found.paths, run_id).sync()
    found.close()


@pytest.mark.parametrize("odd", [{"default": 7}, {"goals": [1]}, {"run": {"id": ID, "tags": 5}}])
def test_a_start_that_is_none_is_refused(mirror, odd):
    job = Job()
    job.write(keeping.header(), {**keeping.start(), **odd})
    refuses(mirror, "does not begin")


@pytest.mark.parametrize("lines", [b"{}\n{}\n", b"\x00\n\x00\n", b"[" * 100_000 + b"\n\n"])
def test_a_journal_that_does_not_begin_as_one_is_refused(mirror, lines):
    job = Job()
    (job.run / events.STARTER).write_bytes(lines)
    refuses(mirror, "does not begin")


def test_a_line_that_does_not_end_is_refused_before_it_fills_the_memory(job, mirror, monkeypatch):
    monkeypatch.setattr(claims, "LONGEST_LINE", 10_000)
    for _ in range(4):
        with (job.run / events.STARTER).open("ab") as file:
            file.write(b"x" * 4_000)
        if size(job) < 10_000:
            mirror.sync()
    refuses(mirror, "a line of")


def test_a_journal_of_garbage_costs_its_bytes_and_no_more(job, home, mirror):
    bomb = b'{"m":' + b"[" * 50_000 + b"\n"
    (job.run / "1700000000900-78-bcde.jsonl").write_bytes(
        bomb + b'{"e":"kept"}\n{"e":"params","values":7}\n' + b"\xff" * 99
    )
    job.write({"e": "kept", "in": "git", "path": "../x", "sha256": "0" * 64, "mode": "100644", "size": 1})
    job.end()
    assert mirror.sync().is_final
    assert tip(home)


def test_a_console_that_no_recorder_writes_does_not_fill_the_disk(job, home, mirror):
    job.cut()
    mirror.sync()
    with (job.run / events.CONSOLE).open("wb") as file:
        file.truncate(1 << 30)
    refuses(mirror, "its console has 1,073,741,824 bytes")
    assert not os.path.exists(os.path.join(live.folder(home.paths, ID), events.CONSOLE))


def test_cuts_that_are_no_cuts_do_not_fill_the_memory(job, mirror, monkeypatch):
    monkeypatch.setattr(claims, "LONGEST_CUTS", 1000)
    (job.run / events.CUTS).write_bytes(b"{}\n" * 1000)
    refuses(mirror, "no cuts")


def test_a_run_with_too_many_cuts_is_refused(job, mirror, monkeypatch):
    monkeypatch.setattr(claims, "MOST_CUTS", 3)
    for number in range(4):
        cut(job, number, run_jsonl=size(job))
    refuses(mirror, "too many")


def test_files_that_are_not_what_their_digest_says_are_left_out_and_named(job, home, mirror, git):
    good, bad, gone, large = b"good", b"bad", b"gone", noise(2, 200_000)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"good": good, "bad": bad, "gone": gone})
    job.keep(2, {"large.pt": large}, "store")
    job.put(bad).write_bytes(b"BAD")
    job.put(gone).unlink()
    job.put(large, "store").write_bytes(noise(3, 200_000))
    job.end()
    news = mirror.sync()
    assert news.is_final
    assert news.missing == {hashlib.sha256(data).hexdigest() for data in (bad, gone, large)}
    assert mirror.sync().missing == news.missing
    listed = git("ls-tree", "-r", "--name-only", layout.run_ref(ID)).splitlines()
    assert [name for name in listed if name.startswith("files/")] == ["files/000/00/00/good"]


@pytest.mark.parametrize("where", ["git", "store"])
def test_files_are_not_followed_out_of_the_folder(job, home, mirror, tmp_path, where):
    """Not even to bytes of the right digest: whoever can make the link need not know what it leads to."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 100)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"f": b"secret" * 100}, where)
    path = job.put(b"secret" * 100, where)
    path.unlink()
    path.symlink_to(secret)
    job.end()
    news = mirror.sync()
    assert news.is_final and len(news.missing) == 1


def test_a_file_larger_than_it_says_is_not_read_to_its_end(job, home, here, mirror):
    data = noise(3, 9_000_000)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"model.pt": data}, "store")
    job.end()
    listed = here.list
    with job.put(data, "store").open("ab") as file:
        file.truncate(1 << 40)  # a hole that reads for hours

    def smaller(path):
        return [one._replace(size=len(data)) if one.size > 1 << 30 else one for one in listed(path)]

    here.list = smaller
    news = mirror.sync()
    assert news.is_final and not news.missing, "its first bytes are those that the journal names"


def test_a_blob_that_is_too_large_for_git_is_left_out(job, mirror, monkeypatch):
    monkeypatch.setattr(kept_files, "LARGEST_BLOB", 10)
    job.write(keeping.checkpoint(1, 1))
    job.keep(1, {"f": b"x" * 11})
    job.end()
    assert len(mirror.sync().missing) == 1


def test_a_run_that_is_known_here_is_not_written_over(repo, here):
    """The host knows the id of a run that ended, and makes a job of that name."""
    found = opened(repo)
    builder.write_runs(found, [builder.journal(7, {}, [0.5])])
    run_id, before = builder.run_id(7), tip(found, builder.run_id(7))
    send_off(found.paths, run_id)
    job = Job(run_id)
    (job.run / events.STARTER).write_bytes(builder.journal(7, {}, [0.25]))
    cut(job, 0, run_jsonl=size(job))
    cut(job, 1, "final", run_jsonl=size(job))
    with pytest.raises(errors.HostFailed, match=r"is not what was sent|other things"):
        Mirror(here, found.paths, run_id).sync()
    assert tip(found, run_id) == before
    found.close()


def test_what_is_refused_for_its_record_is_put_aside_where_nothing_folds_it(repo, here, track):
    found = opened(repo)
    run_id = builder.run_id(7)
    first = builder.journal(7, {}, [0.5], status=None)
    builder.write_runs(found, [first])
    before = tip(found, run_id)
    send_off(found.paths, run_id, **json.loads(first.split(b"\n")[1])["run"])
    job = Job(run_id)
    (job.run / events.STARTER).write_bytes(builder.journal(7, {}, [0.25], status=None))
    cut(job, 0, run_jsonl=size(job))
    cut(job, 1, "final", "crashed", run_jsonl=size(job))
    for _ in range(2):
        with pytest.raises(errors.HostFailed, match="other things than this journal"):
            Mirror(here, found.paths, run_id).sync()
        assert os.listdir(live.root(found.paths)) == [f"{run_id}.refused"]
        track("recover")
        assert tip(found, run_id) == before
        send_off(found.paths, run_id, **json.loads(first.split(b"\n")[1])["run"])
    found.close()


def test_a_run_that_was_known_in_part_goes_on_where_its_ref_stands(job, home, here, mirror, repo, tmp_path):
    """Its folder was lost here: a backup, or a clone that had fetched it while it went on."""
    job.write(keeping.point(1), keeping.checkpoint(1, 1))
    job.keep(1, {"f": b"x"})
    job.cut()
    mirror.sync()
    mirror.close()
    live.remove(live.folder(home.paths, ID))
    send_off(home.paths)
    job.write(keeping.point(2), keeping.checkpoint(2))
    job.end()
    assert Mirror(here, home.paths, ID).sync().is_final
    assert tip(home) == job.folded(cloned(repo, tmp_path / "other"))
