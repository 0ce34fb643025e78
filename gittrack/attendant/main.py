"""The attendant's own command line: run the job (no argument), `close` it, `store` its files, `exec` another command;
in an image of a run, execute that `again`.

    python3 attendant.zip
    python3 attendant.zip close [--status STATUS] [--reason TEXT] [--code N] [--at SECONDS] [JOB]
    python3 attendant.zip exec [NAME...] -- COMMAND
    python3 attendant.zip again COMMAND

JOB is the job's folder; GITTRACK_JOB, or the container's usual place, where it is not given.
"""

from __future__ import annotations

import os
import signal
import site
import sys
from collections.abc import Sequence

from gittrack import errors
from gittrack.attendant import entry
from gittrack.attendant import job as jobs
from gittrack.attendant.entry import BUSY
from gittrack.attendant.job import Place
from gittrack.attendant.running import run
from gittrack.lazy import lazy
from gittrack.record import reaper, terminal
from gittrack.record.command import BOOTSTRAP
from gittrack.record.starter import NAME
from gittrack.runs import locking

AGAIN = 76  # the job was executed already, and is not executed again
_OPTIONS = ("status", "reason", "code", "at")
_STATES = ("crashed", "killed", "failed")


def main() -> None:
    """Does not return."""
    terminal.ensure_standard_streams()
    try:
        code = _main(sys.argv[1:])
    except errors.GittrackError as error:
        code = _say(f"{error.message}: {error.hint}", error.exit_code)
    except OSError as error:
        code = _say(f"{error.filename or 'the job'}: {error.strerror or error}", errors.CannotWrite.exit_code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # whatever a thread of ours may still wait for


def _main(argv: Sequence[str]) -> int:
    verb, *rest = argv or ["run"]
    if verb == "run":
        return _run(_place(rest))
    if verb == "again" and rest:
        return _again(rest)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # see __main__.py
    if verb == "close":
        return _close(rest)
    if verb == "store":
        place = _place(rest)
        done = lazy("gittrack.attendant.storing").serve_until_told(jobs.read(place.folder), place)
        return 0 if done else 1
    if verb == "exec":
        place = _place(())
        lazy("gittrack.attendant.joining").join(jobs.read(place.folder), place, rest, os.environ)
    raise errors.UsageError(f"{verb} is nothing that the attendant does", "run, close, store, exec, again")


def _run(place: Place) -> int:
    job = jobs.read(place.folder)
    lock = _lock(place)
    if lock is None:
        return _say("another process executes or closes this job", BUSY)
    if os.path.exists(os.path.join(place.run, NAME)):
        if not lazy("gittrack.attendant.closing_job").close(job, place, "crashed", "its container was started again"):
            return _say("processes of this job are still there", BUSY)
        return _say("this job was executed already; it is not executed again", AGAIN)
    if os.getpid() != 1:
        reaper.adopt_orphans()
    if any(path.lower().endswith((".yaml", ".yml")) for path in (*job.params_files, *job.metric_files)):
        site.main()  # perhaps there is a library for them
    return run(job, place, os.environ)


def _again(words: Sequence[str]) -> int:
    again, recorder = lazy("gittrack.attendant.again"), _recorder()
    place = again.prepare(recorder, words)
    if place is None:
        again.execute(recorder, words)
    code = _run(place)
    again.tell(place)
    return code


def _close(rest: Sequence[str]) -> int:
    given, folders = _parsed(rest)
    place = _place(folders)
    job = jobs.read(place.folder)
    lock = _lock(place)
    if lock is None:
        return _say("another process executes or closes this job", BUSY)
    status = given.get("status", "crashed")
    if status not in _STATES:
        raise errors.UsageError(f"--status {status} is none", f"one of {', '.join(_STATES)}")
    code = int(given["code"]) if "code" in given else None
    at = float(given["at"]) if "at" in given else None
    if not lazy("gittrack.attendant.closing_job").close(job, place, status, given.get("reason"), code, at):
        return _say("processes of this job are still there", BUSY)
    return 0


def _lock(place: Place) -> int | None:
    os.makedirs(place.run, exist_ok=True)
    return locking.take_run(place.run)


def _recorder() -> str:
    found = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return BOOTSTRAP if os.path.isdir(found) else found  # not in the zip: a checkout, or an installed package


def _place(given: Sequence[str]) -> Place:
    recorder = _recorder()
    folder = given[0] if given else os.environ.get("GITTRACK_JOB", "")
    if folder:
        folder = os.path.abspath(folder)
        return Place(folder, os.path.join(folder, jobs.WORK), recorder)
    return Place(entry.JOB, entry.WORK, recorder)


def _parsed(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Options, and what else there is. (argparse would cost more than all the rest.)"""
    given: dict[str, str] = {}
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            others.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        if name not in _OPTIONS or not (equals or rest):
            raise errors.UsageError(f"{word} is no option of close", "--status, --reason, --code, --at")
        given[name] = value if equals else rest.pop(0)
    return given, others


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"gittrack: {text}\n")
    return code
