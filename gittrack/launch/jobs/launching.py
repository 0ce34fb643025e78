"""Beginning a run that is executed at a host, and going on with one from whatever step was reached.

The snapshot is taken while the host is being reached: neither needs the other. The run's folder is made when both have
succeeded, so a wrong host name leaves nothing. Nothing is left either of a job that cannot be started for good (no such
image, a build that failed, a host that refuses): the user corrects and calls again. When the connection broke on the
way, the host is reached again and the steps go on; in the end all stays, here and there, for `git track attach`.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from gittrack import errors
from gittrack.core import layout
from gittrack.core.redact import spellings
from gittrack.git.open import open_repository
from gittrack.launch.engine import containers
from gittrack.launch.jobs import choosing, closing, job, steps
from gittrack.launch.jobs.job import Asked
from gittrack.launch.jobs.lasting import reach_again
from gittrack.launch.jobs.steps import Launch
from gittrack.launch.later import Later
from gittrack.launch.link.hosts import HERE, Host
from gittrack.launch.reached import At, Clone, Talk, reach
from gittrack.launch.sending import snapshots
from gittrack.lazy import lazy
from gittrack.record import beginning
from gittrack.record.beginning import Beginning, Wish
from gittrack.record.surroundings import Surroundings
from gittrack.runs import away, live

SHORTEST = 4  # characters of a secret
TRIES, STEADY = 5, 30.0  # connections in a row that break within so many seconds while a job is sent
PATIENCE = 5.0  # seconds for a host to remove what was sent, once somebody has pressed Ctrl-C


def begin(
    clone: Clone, around: Surroundings, wish: Wish, asked: Asked, talk: Talk, reaching: Later[At] | None = None
) -> Launch:
    """Start a job. `reaching`: its host, where whoever calls has begun with that.

    Raises what taking a snapshot raises, UsageError, HostFailed, ImageFailed; LinkLost when the connection broke: then
    `attach` goes on, if the run was there by then."""
    if not wish.snapshot:
        raise errors.UsageError("a host gets the code from the snapshot", "leave out --no-snapshot")
    before = beginning.came(wish, clone.paths, clone.environ)
    asked = asked._replace(secrets=tuple(dict.fromkeys((*clone.settings.secrets, *asked.secrets))))
    job.check_variables(asked, clone.environ)
    secrets = _findable(job.known_secrets(job.options(asked, clone.settings.env), clone.environ), asked.secrets)
    reaching = reaching or choosing.begin(clone, asked.host, asked.gpus, talk)
    run_id = layout.new_id(os.urandom(10))
    try:
        around = around._replace(
            redactor=around.redactor.knowing(text for value in secrets.values() for text in spellings(value))
        )
        began = beginning.begin(run_id, wish, around, clone.environ, before)
        project = snapshots.project(around.git)
        document = {**job.document(run_id, wish, began, list(secrets)), "project": project}
        if before.resumed:
            door = lazy("gittrack.launch.sending.continuing")
            document["resume"] = door.find(clone.paths, clone.environ, before.resumed)
        if asked.inputs:
            door = lazy("gittrack.launch.sending.given")
            document["given"] = door.find(clone.paths, clone.environ, asked.inputs)
    except BaseException:
        reaching.abandon(At.close)
        raise
    at = reaching.result()
    launch = None
    try:
        _say_unfinished(clone, wish.argv, talk)
        _keep(clone, run_id, _with_defaults(clone, asked, at.host), began, document)
        Later(lambda: talk.say(f"{at.host.name}: {at.look.line()}"))
        launch = Launch(clone, run_id, asked_of(clone, run_id), at, talk)
        go_on(launch)
        return launch
    except errors.LinkLost:
        raise
    except BaseException as error:
        at = launch.at if launch else at
        if isinstance(error, Exception) and not (launch and launch.is_cut_off):
            closing.forget(at, clone.paths, run_id)
        else:
            _interrupted(clone, run_id, at, talk)
        at.close()
        raise


def attach(clone: Clone, run_id: str, host: Host, talk: Talk) -> At:
    """Reach the host of a run that is away, and do what is left to be done, if it was this clone that sent it.

    Raises as `begin`."""
    at = reach(host, clone.environ, talk.ask)
    launch = None
    try:
        if is_being_sent(clone, run_id):
            launch = Launch(clone, run_id, asked_of(clone, run_id), at, talk)
            go_on(launch)
        return launch.at if launch else at
    except BaseException:
        (launch.at if launch else at).close()
        raise


def is_being_sent(clone: Clone, run_id: str) -> bool:
    """Whether it was begun in this clone and, as far as that knows, not started yet."""
    found = away.read(live.folder(clone.paths, run_id))
    return found is not None and "asked" in found.more and found.step != steps.STARTED


def go_on(launch: Launch) -> None:
    """Do what is left to be done for a job whose folder is here, across connections. Raises as `begin`."""
    tries = 0
    while True:
        began = time.monotonic()
        try:
            return _carried_out(launch)
        except errors.LinkLost as lost:
            tries = 1 if time.monotonic() - began > STEADY else tries + 1
            lost.hint = f"`git track attach {launch.run_id[: layout.SHORT]}` goes on from where it stopped"
            if tries > TRIES:  # what breaks it may be what is sent
                launch.at.close()
                raise
            launch.is_cut_off = True
            launch.at = reach_again(lost, launch.at, launch.clone, launch.talk)
            launch.is_cut_off = False


def _carried_out(launch: Launch) -> None:
    try:
        steps.carry_out(launch)
    except errors.LinkLost:
        raise
    except errors.GittrackError as error:
        link = launch.at.link
        if not link.lost:
            raise
        raise errors.LinkLost(f"{link.name}: the connection is lost", "") from error  # of which this is a consequence


def _is_cleared(at: At, run_id: str) -> bool:
    clearing = Later(lambda: closing.clear(at, run_id))
    if not clearing.wait(PATIENCE):
        return False
    try:
        clearing.result()
    except errors.LinkLost:
        return False
    except errors.GittrackError:  # its engine cannot be asked: `git track host prune` is for what is left
        pass
    return True


def _interrupted(clone: Clone, run_id: str, at: At, talk: Talk) -> None:
    """Leave nothing of a job that never ran; what may be at a host that is not reached has to stay known here."""
    if _is_cleared(at, run_id):
        live.remove(live.folder(clone.paths, run_id))
        return
    short = run_id[: layout.SHORT]
    talk.say(
        f"what was sent of run {short} may still be at {at.host.name}: `git track attach {short}` goes on with it, "
        f"`git track stop {short}` gives it up"
    )


def asked_of(clone: Clone, run_id: str) -> Asked:
    """What was asked for when it was begun. Raises RunNotFound when it is not away (any more)."""
    found = away.read(live.folder(clone.paths, run_id))
    if found is None:
        raise errors.RunNotFound(f"run {run_id[: layout.SHORT]} is at no host", "`git track ps` lists what is going on")
    return Asked.from_json(found.more.get("asked") or {"host": found.host})


def _with_defaults(clone: Clone, asked: Asked, host: Host) -> Asked:
    """What the settings say of this host, and of all, where the user did not."""
    settings, special = clone.settings, host.options
    image = asked.image or special.get("image") or settings.image
    return asked._replace(
        host=host.name if asked.host else "",
        image=containers.parse_image(image) if image else None,
        gpus=choosing.gpus(clone, asked.gpus, host),
        cpus=asked.cpus or special.get("cpus"),
        memory=asked.memory or special.get("memory"),
        shm_size=asked.shm_size or special.get("shm_size"),
        network=asked.network or special.get("network"),
        mounts=(*settings.mounts, *(special.get("mounts") or ()), *asked.mounts),
        ports=(*(special.get("ports") or ()), *asked.ports),
    )


def _keep(clone: Clone, run_id: str, asked: Asked, began: Beginning, document: dict[str, object]) -> None:
    """From here on the run is there: queued. The code's ref comes first, so that git keeps the snapshot."""
    repository = open_repository(clone.paths, clone.environ, "cli")
    try:
        beginning.keep_code(repository, began.kept.oid)
    finally:
        repository.close()
    directory = live.folder(clone.paths, run_id)
    try:
        now = time.time()
        state = away.Away(
            asked.host or HERE.name,
            since=now,
            seen=now,
            project=str(document["project"]),
            start=began.start,
            more={"asked": asked.to_json()},
        )
        away.create(directory, state)
        steps.save_job(directory, document)
    except OSError as error:
        live.remove(directory)
        raise errors.CannotWrite(
            f"cannot write {directory}: {error.strerror}", "make the .git directory writable for you"
        ) from error


def _findable(secrets: dict[str, str], named: Sequence[str]) -> dict[str, str]:
    """Those that can be taken out of what is recorded: what is shorter stands everywhere by chance.

    Raises UsageError for one that was called a secret."""
    short = [name for name, value in secrets.items() if len(value) < SHORTEST]
    for name in short:
        if name in named:
            raise errors.UsageError(
                f"the secret {name} is too short: it would be taken out of the record wherever it stands by chance",
                f"a secret has {SHORTEST} characters or more; what is none goes by --env {name}",
            )
    return {name: value for name, value in secrets.items() if name not in short}


def _say_unfinished(clone: Clone, argv: Sequence[str], talk: Talk) -> None:
    """A second start may be a mistake: the first one goes on, and both would be paid for."""
    for run_id in live.ids(clone.paths):
        found = away.read(live.folder(clone.paths, run_id))
        run: Any = found.start.get("run") if found else None
        if found and isinstance(run, dict) and run.get("argv") == list(argv):
            short = run_id[: layout.SHORT]
            talk.say(f"the same command is unfinished at {found.host}: `git track attach {short}`; this is a new run")
