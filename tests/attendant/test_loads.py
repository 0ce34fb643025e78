"""What trainings do to whoever records them: much output, odd output, many points, many processes, full disks."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from attendant_jobs import BARE, Job, until

from gittrack.core import codec
from gittrack.record.console import HEAD
from gittrack.runs import tail


def test_a_console_of_any_length_passes_and_its_head_and_tail_are_kept(job: Job, tmp_path: Path) -> None:
    job.script("import sys\nfor n in range(600_000): sys.stdout.write('line %d of a long output, padded\\n' % n)\n")
    with open(tmp_path / "out", "wb") as out:
        job.execute(stdout=out)
    whole = (tmp_path / "out").read_bytes()
    assert whole == b"".join(b"line %d of a long output, padded\n" % n for n in range(600_000))
    console = job.console()
    assert len(console) < HEAD + tail.KEPT + 1000 and b"bytes of output left out here" in console
    assert console.startswith(b"line 0 of") and console.endswith(b"line 599999 of a long output, padded\n")
    assert not (job.run_dir / tail.NAME).exists() and job.reasons()[-1] == "final"


def test_what_is_no_text_passes_as_it_is(job: Job) -> None:
    code = "import os, sys\nfor _ in range(4): sys.stdout.buffer.write(bytes(range(256)) * 100)\n"
    assert job.write(job.python, "-c", code).execute().out == bytes(range(256)) * 400
    assert job.end()["status"] == "completed"


def test_progress_bars_are_recorded_as_they_end(job: Job) -> None:
    code = (
        "import sys\n"
        "for n in range(1000): sys.stderr.write('\\r%3d %%' % (n // 10)); sys.stderr.flush()\n"
        "print(file=sys.stderr)\n"
    )
    done = job.write(job.python, "-c", code).execute()
    assert done.err.count(b"\r") == 1000 and job.console() == b" 99 %\n"


def test_secrets_are_taken_out_of_all_that_is_recorded_and_of_nothing_else(job: Job, tmp_path: Path) -> None:
    """Also of the end of a long console, which waits as it came."""
    secret, key = "correct horse battery staple", "sk-of-the-environment-1234"
    (job.folder / "env").write_bytes(f"PHRASE={secret}\0MY_API_KEY={key}\0".encode())
    job.script(
        "import os, sys\nimport gittrack\n"
        "print(os.environ['PHRASE'], os.environ['MY_API_KEY'])\n"
        "gittrack.init({'said': 'it is ' + os.environ['MY_API_KEY'], 'password': 'x1'})\n"
        "for n in range(300_000): print('x' * 40, n)\n"
        "print(os.environ['PHRASE'], 'at the end')\n",
        redactor={"rules": [], "values": [secret], "allow": []}, params={"phrase": secret}, variables=["MY_API_KEY"],
    )  # fmt: skip
    with open(tmp_path / "out", "wb") as out:
        job.execute(stdout=out)
    assert secret.encode() in (tmp_path / "out").read_bytes()
    for path in job.run_dir.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes() and key.encode() not in path.read_bytes(), path
    assert job.console().endswith(b"[redacted] at the end\n")


def test_a_hundred_thousand_points(job: Job) -> None:
    program = "import gittrack\nrun = gittrack.init()\nfor n in range(100_000): run.log({'loss': n * 0.5}, n)\n"
    job.script(program, system_metrics=False).execute()
    assert [line["s"] for line in job.events("m")] == list(range(100_000))
    sizes = {path.name: path.stat().st_size for path in job.run_dir.glob("*.jsonl") if path.name != "cuts.jsonl"}
    assert {name: end for name, end in job.cuts()[-1].files.items() if name in sizes} == sizes


def test_forked_ranks_each_have_a_journal_and_are_waited_for(job: Job) -> None:
    program = """
import gittrack, os, time
pids = []
for rank in range(1, 4):
    pid = os.fork()
    if pid == 0:
        os.environ["RANK"] = str(rank)
        run = gittrack.init()
        for step in range(50):
            run.log({"loss": float(rank)}, step)
            if step % 10 == 0:
                open(f"shard{rank}.bin", "wb").write(b"%d" % rank * 3000)
                run.checkpoint(step, path=f"shard{rank}.bin")
        time.sleep(0.3)
        os._exit(0)
    pids.append(pid)
run = gittrack.init()
for step in range(50): run.log({"loss": 0.0}, step)
"""
    job.script(program, system_metrics=False).execute()
    assert len([event for event in job.events("process") if event["rank"]]) == 3
    assert len(job.events("m")) == 200 and len(job.events("kept")) == 15 == len(job.events("parcel"))
    assert job.reasons().count("checkpoint") == 15 and job.reasons()[-1] == "final"
    kept = {event["sha256"] for event in job.events("kept")}
    assert kept == {hashlib.sha256(b"%d" % rank * 3000).hexdigest() for rank in (1, 2, 3)}
    assert {path.name for path in (job.run_dir / "files").iterdir()} == kept


def test_a_large_file_is_there_once_and_was_not_copied(job: Job) -> None:
    program = """
import gittrack
run = gittrack.init()
open("big.bin", "wb").write(bytes(range(256)) * 200_000)
run.checkpoint(1, path="big.bin")
run.checkpoint(2, path="big.bin")
open("big.bin", "r+b").write(b"changed afterwards")
"""
    job.script(program).execute()
    (name,) = {event["sha256"] for event in job.events("kept")}
    (path,) = (job.run_dir / "files").iterdir()
    assert path.name == name == hashlib.sha256(bytes(range(256)) * 200_000).hexdigest()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == name and path.stat().st_nlink == 1


def test_links_folders_and_odd_names_are_kept(job: Job) -> None:
    program = """
import gittrack, os
os.makedirs("out/deep"); open("out/deep/a b\\n.txt", "w").write("odd"); os.symlink("deep", "out/link")
open(b"out/\\xff.bin", "wb").write(b"x" * 2000)
open("out/run.sh", "w").write("#!/bin/sh"); os.chmod("out/run.sh", 0o755)
gittrack.init().log_artifact("out")
"""
    job.script(program).execute()
    kept = {event["path"]: (event["in"], event["mode"]) for event in job.events("kept")}
    assert kept == {
        "out/deep/a b\n.txt": ("git", "100644"), "out/link": ("git", "120000"), "out/run.sh": ("git", "100755"),
        b"out/\xff.bin": ("store", "100644"),
    }  # fmt: skip


def test_declared_files_are_read_where_python_can(job: Job) -> None:
    (job.work / "conf.json").write_text('{"lr": 0.1, "db": {"password": "hush"}}')
    (job.work / "old.csv").write_text("step,loss\n0,9\n")
    job.script(
        "open('metrics.csv', 'w').write('step,loss\\n0,0.5\\n1,0.25\\n')\n"
        "open('last.json', 'w').write('{\"acc\": 0.9}')\n",
        metric_files=["metrics.csv", "last.json", "old.csv", "never.json"],
        params_files=["conf.json"],
        system_metrics=False,
    ).execute()
    assert job.events("params")[0]["values"] == {"lr": 0.1, "db.password": "[redacted]"}
    assert [(line["m"], line["s"]) for line in job.events("m")] == [
        ({"loss": 0.5}, 0),
        ({"loss": 0.25}, 1),
        ({"acc": 0.9}, 0),
    ]
    assert [text.partition(" was not ")[0] for text in job.warnings()] == [
        "the metric file old.csv",
        "the metric file never.json",
    ]


def test_yaml_is_read_where_the_image_has_a_library_and_missed_with_a_word_elsewhere(job: Job, tmp_path: Path) -> None:
    (job.work / "conf.yaml").write_text("lr: 1e-3\n")
    job.script("pass", params_files=["conf.yaml"]).execute()
    with_library = [event["values"] for event in job.events("params")]
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    other = Job(tmp_path / "other", job.archive, str(bare / "bin" / "python3"))
    (other.work / "conf.yaml").write_text("lr: 1e-3\n")
    other.script("pass", params_files=["conf.yaml"]).execute()
    assert with_library == [{"lr": 0.001}] and other.events("params") == []
    assert other.warnings() == ["conf.yaml was not read: this Python has no yaml"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_on_a_full_disk_the_training_goes_on_and_the_rest_is_kept_when_there_is_room(job: Job, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], check=True)
    try:
        one = Job(small / "job", job.archive)
        one.script(
            "import gittrack, os, time\nrun = gittrack.init()\n"
            "open('/%s/fill' % os.environ['SMALL'], 'wb').write(b'x' * 5_000_000)\n"
            "open('model.bin', 'wb').write(b'm' * 100_000)\n"
            "print('ready', flush=True)\nrun.checkpoint(1, path='model.bin')\n"
            "for n in range(200): run.log({'loss': 1.0}, n)\nprint('done', flush=True)\n"
        )
        filler = small / "fill"
        process = one.start(environ={**BARE, "SMALL": str(small)})
        until(lambda: b"ready" in one.console())
        with open(small / "rest", "wb", buffering=0) as rest:
            try:
                while rest.write(b"x" * 65536) == 65536:
                    pass
            except OSError:
                pass
        filler.unlink()
        (small / "rest").unlink()
        out, _ = process.communicate(timeout=100)
        assert process.returncode == 0 and out == b"ready\ndone\n"
        assert one.reasons()[-1] == "final" and one.end()["status"] == "completed"
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_the_document_of_a_job_may_hold_what_json_alone_cannot(job: Job) -> None:
    job.write(job.python, "-c", "import os, sys; print(os.fsencode(sys.argv[1]))", "X")
    document = codec.loads((job.folder / "job.json").read_bytes())
    document["argv"][-1] = b"\xff"
    (job.folder / "job.json").write_bytes(codec.dumps(document))
    assert job.execute().out == b"b'\\xff'\n"


def test_who_keeps_the_files_may_be_killed_at_any_time(job: Job) -> None:
    program = """
import gittrack, time
run = gittrack.init()
for step in range(12):
    open("model.bin", "wb").write(b"%d" % step * 1_000_000)
    run.checkpoint(step, path="model.bin")
    time.sleep(0.1)
"""
    process = job.script(program).start()
    killed = 0
    while process.poll() is None:
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
                if b"store" in words and str(job.folder).encode() in words:
                    os.kill(int(name), signal.SIGKILL)
                    killed += 1
            except OSError:
                continue
        time.sleep(0.3 if killed < 8 else 1.0)
    process.communicate()
    assert process.returncode == 0 and killed
    assert sorted(event["parcel"] for event in job.events("parcel")) == [e["parcel"] for e in job.events("checkpoint")]
    for kept in job.events("kept"):
        data = (job.run_dir / "files" / kept["sha256"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == kept["sha256"]
    assert job.reasons().count("checkpoint") == 12 and job.reasons()[-1] == "final"
