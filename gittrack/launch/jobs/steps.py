"""From a run that is known here to a container that runs it there.

The steps stand in one table. Each is keyed by the run's id and may be done again: what is there already is found to be
there. The step that was reached stands in away.json, so `git track attach` goes on from it after any death of this
process or of the connection. What does not wait for each other is done at once.
"""

import contextlib
import fcntl
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from gittrack import errors
from gittrack.core import events, layout
from gittrack.core.redact import Redactor
from gittrack.launch.engine import containers
from gittrack.launch.images import job_image
from gittrack.launch.jobs import closing, demands, job
from gittrack.launch.jobs.job import Asked
from gittrack.launch.later import together
from gittrack.launch.reached import At, Clone, Talk
from gittrack.launch.sending import inputs, placing, program, snapshots
from gittrack.lazy import lazy
from gittrack.runs import away, live

JOB, WORK = "job.json", "work"
STARTED = "started"
_LOCK = "sending.lock"  # held by who sends it


class Launch:
    """One run on its way to a host, and what was made so far; that is kept in away.json, too."""

    def __init__(self, clone: Clone, run_id: str, asked: Asked, at: At, talk: Talk) -> None:
        self.clone = clone
        self.run_id = run_id
        self.asked = asked
        self.at = at
        self.talk = talk
        self.directory = live.folder(clone.paths, run_id)
        self.is_cut_off = False  # the connection broke, and its host is not reached again
        self.catch_up()
        self.options = job.options(asked, clone.settings.env)
        self.code = snapshots.Code(
            clone.paths, clone.environ, str(self.document["start"]["run"]["snapshot"]), str(self.document["project"])
        )

    def catch_up(self) -> None:
        """How far it is, whoever did that. Raises RunNotFound."""
        self.document = read_job(self.directory)
        found = away.read(self.directory)
        self.done = found and found.step
        self.made: dict[str, str] = dict(found.more.get("made") or {}) if found else {}  # image, digest, attendant


Act = Callable[[Launch], None]


class Step(NamedTuple):
    """`acts` do not wait for each other. `state`: how the run stands afterwards."""

    name: str
    state: str
    acts: tuple[Act, ...]


def carry_out(launch: Launch) -> None:
    """Do what is left to be done. Raises HostFailed, LinkLost, ImageFailed, RunNotFound where somebody has given the
    run up meanwhile, and what sending raises."""
    with _alone(launch) as is_away:
        if is_away:
            _carry_out(launch)
        else:
            _check_home(launch)


@contextlib.contextmanager
def _alone(launch: Launch) -> Iterator[bool]:
    """Of several who go on with a launch one does: they would take the work tree from each other while they make it.
    Whether the run is away still."""
    try:
        lock = os.open(os.path.join(launch.directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            launch.talk.say("another process is sending it: waiting for that")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if away.is_there(launch.directory):
                launch.catch_up()
        yield away.is_there(launch.directory)
    finally:
        os.close(lock)


def _carry_out(launch: Launch) -> None:
    for step in STEPS[_reached(launch) :]:
        try:
            together(*(functools.partial(act, launch) for act in step.acts), halted=launch.at.link.halted)
        except errors.GittrackError as error:
            if isinstance(error, errors.LinkLost) or away.is_there(launch.directory):
                raise
            _check_home(launch)
            return
        launch.done = step.name
        changes = {"step": step.name, "state": step.state, "made": launch.made, "ahead": launch.at.look.ahead}
        if away.update(launch.directory, **changes) is None:
            _check_home(launch)
            return


def _check_home(launch: Launch) -> None:
    """The run is not away any more: another process may have done all that was left, and have brought it home."""
    if launch.code.git.call("rev-parse", "--verify", "-q", layout.run_ref(launch.run_id)).code != 0:
        raise _given_up(launch.directory)


def _given_up(directory: str) -> errors.RunNotFound:
    short = os.path.basename(directory)[: layout.SHORT]
    return errors.RunNotFound(f"run {short} was given up while it was sent", "start it again if that was a mistake")


def save_job(directory: str, document: Mapping[str, Any]) -> None:
    """Keep job.json at home until the job has ended: for this user alone, the command's arguments are in it.

    Raises RunNotFound where the run was given up meanwhile, OSError."""
    path = os.path.join(directory, JOB)
    try:
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(document, file)
        os.replace(path + ".new", path)
    except FileNotFoundError as error:
        raise _given_up(directory) from error


def read_job(directory: str) -> dict[str, Any]:
    """Raises RunNotFound where whoever began the run was killed before it could be kept."""
    try:
        with open(os.path.join(directory, JOB), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
    except (FileNotFoundError, ValueError) as error:
        short = os.path.basename(directory)[: layout.SHORT]
        raise errors.RunNotFound(
            f"run {short} was not sent, and what it was to execute is not known any more",
            f"`git track stop {short}` gives it up; then start it again",
        ) from error
    return found


def _reached(launch: Launch) -> int:
    """How many steps need not be done again. What was done may be gone meanwhile: hosts are cleaned and installed anew.
    And the job may have been started by a process that could not say so any more."""
    names = [step.name for step in STEPS]
    reached = names.index(launch.done) + 1 if launch.done in names else 0
    if not 0 < reached < len(STEPS):
        return reached
    at, folder = launch.at, launch.at.job(launch.run_id)
    if any(entry.name == events.STARTER for entry in at.link.list(f"{folder}/run") or ()):
        away.update(launch.directory, step=STARTED, state=away.RUNNING)
        return len(STEPS)
    is_there = any(entry.name == WORK for entry in at.link.list(folder) or ())
    if is_there and (reached == 1 or at.engine.find(launch.run_id) is not None):
        return reached
    closing.clear(at, launch.run_id)
    return 0


def _send_program(launch: Launch) -> None:
    launch.made["attendant"] = program.at_host(launch.at.link, launch.clone.paths)


def _find_image(launch: Launch) -> None:
    """A host without git borrows it from the image, so that the code waits for that."""
    demands.check(launch.at.look, launch.options, launch.at.host.name)
    source = job_image.Source(launch.code.git, launch.code.oid, launch.code.project, launch.clone.environ)
    image = job_image.find(launch.at, source, launch.clone.settings, launch.asked.image, launch.talk)
    name = launch.asked.image or next(iter(image.names), "")
    launch.made.update(image=image.id, digest=image.digest, name=name, made_from=job_image.made_from(image.labels))
    if not launch.at.has_git:
        _send(launch)


def _send_code(launch: Launch) -> None:
    if launch.at.has_git:
        _send(launch)


def _send(launch: Launch) -> None:
    """The work tree: the code, in one connection with its checkout, and what else the job needs."""
    helper = snapshots.Helper(launch.at.host.docker, launch.made.get("image", ""))
    left_out = launch.document["start"]["run"].get("left_out") or ()
    with launch.talk.transfer("sending the code") as show:
        found = inputs.find(launch.code, launch.clone.settings.inputs, left_out, show)
        with _given(launch, found) as wanted:
            _remember(launch, wanted)
            sent = placing.bring(launch.at.link, launch.code, launch.run_id, wanted, helper, show)
        if resume := launch.document.get("resume"):
            door = lazy("gittrack.launch.sending.continuing")
            door.send(launch.at.link, launch.code, launch.run_id, resume, show)
    for remark in wanted.remarks:
        launch.talk.say(remark)
    if sent.by == snapshots.FILES:
        launch.talk.say(f"{launch.at.host.name}: no git there, nor in the image: all files are sent each time")


def _given(launch: Launch, found: inputs.Inputs) -> contextlib.AbstractContextManager[inputs.Inputs]:
    """With the files of other runs that the job is given."""
    said = launch.document.get("given")
    if not said:
        return contextlib.nullcontext(found)
    made: contextlib.AbstractContextManager[inputs.Inputs] = lazy("gittrack.launch.sending.given").joined(
        launch.at.link, launch.code, said, found
    )
    return made


def _remember(launch: Launch, wanted: inputs.Inputs) -> None:
    """What the job is given besides its code is what it was at first. Raises UsageError where that has changed."""
    said = wanted.described(Redactor.from_json(launch.document["redactor"]))
    if before := launch.document.get("inputs"):
        inputs.check_unchanged(before, said, launch.run_id)
        return
    launch.document["inputs"] = said
    save_job(launch.directory, launch.document)


def _write_env(launch: Launch) -> None:
    job.check_variables(launch.asked, launch.clone.environ)  # who goes on with it may have another environment
    variables = containers.environment(launch.options, launch.clone.environ)
    launch.at.link.write(f"{launch.at.job(launch.run_id)}/env", containers.env_file(variables))


def _make_folder(launch: Launch) -> None:
    """Where the command begins, be it that nothing of the snapshot is there: the engine would make it, as root."""
    if (cwd := launch.document["cwd"]) != ".":
        launch.at.link.run(["mkdir", "-p", "--", f"{launch.at.job(launch.run_id)}/{WORK}/{cwd}"])


def _write_job(launch: Launch) -> None:
    """What the attendant is to do. It may be there before the container, and has to be before that is started."""
    at = launch.at
    launched = {
        "from": os.uname().nodename,
        "host": at.host.name,
        "image": launch.made.get("name") or None,
        "digest": launch.made["image"],
        **({"made_from": made_from} if (made_from := launch.made.get("made_from")) else {}),
    }
    environment = {"container.json": _container(launch)}
    if launch.document.get("inputs", {}).get("count"):
        environment["inputs.json"] = launch.document["inputs"]
    whole = job.at_host(launch.document, {"host": at.look.name, "launched": launched}, environment)
    at.link.write(f"{at.job(launch.run_id)}/{JOB}", json.dumps(whole).encode())


def _container(launch: Launch) -> dict[str, Any]:
    """container.json: what the command can see of none of its own."""
    look, options, made = launch.at.look, launch.options, launch.made
    return {
        "image": {
            "name": made.get("name") or None,
            "id": made["image"],
            "digest": made["digest"] or None,
            "made_from": made.get("made_from") or None,
        },
        "engine": look.version,
        "host": {"name": look.name, "architecture": look.architecture, "cpus": look.cpus, "memory": look.memory},
        "driver": look.driver or None,
        "gpus": list(options.gpus),
        "cpus": options.cpus,
        "memory": options.memory,
        "shm_size": options.shm_size,
        "mounts": [f"{each.source}:{each.target}{':ro' * each.read_only}" for each in options.mounts],
        "ports": [f"{each.address}:{each.host}:{each.container}/{each.protocol}" for each in options.ports],
        "network": options.network or None,
    }


def _create(launch: Launch) -> None:
    at, run = launch.at, launch.document["start"]["run"]
    place = containers.Place(
        at.job(launch.run_id), launch.made["attendant"], at.look.home, at.look.user, at.look.memory, at.look.security
    )
    spec = containers.spec(
        launch.run_id, launch.made["image"], place, launch.options,
        project=launch.code.project, who=_who(run["user"]), cwd=launch.document["cwd"],
    )  # fmt: skip
    launch.made["container"] = at.engine.create(spec)


def _start(launch: Launch) -> None:
    """Once: a container that is there already may be running, or over."""
    launch.at.engine.start(launch.made["container"])


def _load(_launch: Launch) -> None:
    """What follows the job, while the engine is busy starting it."""
    lazy("gittrack.launch.jobs.following")


def _who(user: Mapping[str, Any]) -> str:
    return f"{user.get('name') or ''} <{user.get('email') or ''}>"


STEPS = (
    Step("sent", away.SENDING, (_send_program, _find_image, _send_code)),
    Step("ready", away.STARTING, (_write_env, _make_folder, _write_job, _create)),
    Step(STARTED, away.RUNNING, (_load, _start)),
)
