"""gittrack: git-native experiment tracking.

`init` begins a run, or joins the one that `git track run` began; `runs` reads them back; `current_run` is the one being
recorded. Everything else is behind these and loaded when they are called: `import gittrack` costs next to nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType

from .lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from .launch.api import Job
    from .recorder.active import ActiveRun

__all__ = ["__version__", "current_run", "init", "keep_best", "launch", "runs"]

__version__ = "0.1.0"


def init(
    params: Mapping[str, Any] | None = None,
    name: str | None = None,
    tags: Iterable[str] = (),
    experiment: str | None = None,
    resume: str | None = None,
    **options: Any,
) -> ActiveRun:
    """Begin a run, or join the one this process was started under, and record `params`.

    The run is also a context manager; it ends with `run.finish()`, or with the program. `resume` names the run that
    this one continues (id, name, `latest`, `RUN@STEP`): `run.resume_checkpoint()` is where that stopped. Further
    options are those of `gittrack.record.session.start`, and have no effect on a run that is joined.
    """
    labels = _checked(params, name, tags, experiment)
    if resume is not None and not isinstance(resume, str):
        raise TypeError(f"gittrack.init: resume names a run, such as 'latest', not {resume!r:.80}")
    _enable_reading()
    run: ActiveRun | None = lazy("gittrack.recorder.join").join(
        params, name, labels, experiment, continues=(lambda: _origin(resume)) if resume else None
    )
    if run is None:
        run = _session().start(
            params=params, name=name, tags=labels, experiment=experiment, resume=resume, **{"show": _show, **options}
        )
    return run


def _show(drain: Any) -> None:
    """How far the files of a run are kept, for the user who waits for it."""
    lazy("gittrack.cli.drain").show(drain)


def current_run() -> ActiveRun | None:
    """The run that this process records, or could join; None when there is none."""
    _enable_reading()
    run: ActiveRun | None = lazy("gittrack.recorder.active").current() or lazy("gittrack.recorder.join").join(
        quiet=True
    )
    return run


def runs(where: str | None = None, repo: str = ".") -> Any:
    """The runs of a repository, newest first, as a lazy sequence: `runs("params.lr > 0.01").to_pandas()`."""
    return lazy("gittrack.compare.api").runs(where=where, repo=repo)


def keep_best(run: Any, n: int = 3, metric: str | None = None, goal: str | None = None, repo: str = ".") -> int:
    """Let go of the files of all checkpoints of `run` but the `n` best ones and the latest. Returns of how many.

    `run` is a run of `init` or `runs`, or the name or id of one; `metric` the run's primary one when not given, `goal`
    what the run says. Metrics stay. `git track gc` frees the space, `git track undo` takes it back before that.
    """
    let_go: int = lazy("gittrack.compare.keeping").keep_best(run, n, metric, goal, repo)
    return let_go


def launch(
    command: str | Iterable[str],
    host: str | None = None,
    image: str | None = None,
    gpus: str | int | None = None,
    detach: bool = True,
    **options: Any,
) -> Job:
    """Run a command in a container at a host, or of this machine where none is given, as `git track run -H` does.

    Returns when it has started, or, with `detach=False`, when it is over. The job has `id`, `status`, `exit_code`,
    `wait()`, `logs()` and `stop()`. Further options: `name`, `tags`, `experiment`, `note`, `params`, `resume`,
    `repo`; `cpus`, `memory`, `shm_size`, `mounts`, `ports`, `network`, `inputs`, `env`, `secrets`.
    """
    job: Job = _door("gittrack.launch.api", "start one").launch(command, host, image, gpus, detach, **options)
    return job


def _checked(params: object, name: object, tags: object, experiment: object) -> tuple[str, ...]:
    if params is not None and not (hasattr(params, "keys") and hasattr(params, "__getitem__")):
        raise TypeError(f"gittrack.init: params is a dict, such as {{'lr': 0.1}}, not {params!r:.80}")
    for what, value in (("name", name), ("experiment", experiment)):
        if value is not None and not isinstance(value, str):
            raise TypeError(f"gittrack.init: {what} is text, not {value!r:.80}")
    labels = None if isinstance(tags, (str, bytes)) or not hasattr(tags, "__iter__") else tuple(tags)
    if labels is None or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"gittrack.init: tags is a list of texts, such as ['baseline'], not {tags!r:.80}")
    return labels


def _enable_reading() -> None:
    """Let a run find the checkpoint that it goes on from."""
    finders = lazy("gittrack.recorder.resume").finders
    if not finders:
        finders.append(_find_checkpoint)


def _find_checkpoint(repo: str, run_id: str, step: int | None, job: str | None = None) -> Any:
    """The checkpoint of a run at `step`, or the last one. `job`: the folder where it was sent to, at a host."""
    if job is not None:
        return _door("gittrack.compare.sent", "read the run that is continued").find(job, run_id, step)
    if step is None:
        return _door("gittrack.compare.checkpoints", "read the run that is continued").last_of(repo, run_id)
    (run,) = [
        run for run in _door("gittrack.compare.api", "read runs").runs(repo=repo, deleted=True) if run.id == run_id
    ]
    return run.checkpoints.at(step)


def _origin(resume: str) -> tuple[str, Mapping[str, Any]]:
    if lazy("gittrack.recorder.resume").is_sent():
        raise RuntimeError(
            f"gittrack.init: a job at a host has no repository in which run {resume!r} could be found. "
            f"Name it where the job is started: git track run -H HOST --resume {resume} …, or "
            f"gittrack.launch(…, resume={resume!r})."
        )
    origin = _door("gittrack.record.resuming", "read the run that is continued").find_here(resume)
    return origin.text(), origin.facts()


def _session() -> ModuleType:
    return _door("gittrack.record.session", "begin one", "or start the program with `git track run`")


def _door(module: str, what: str, otherwise: str = "") -> ModuleType:
    """A part of gittrack that needs it installed whole; under `git track run` its recorder may be all there is."""
    try:
        return lazy(module)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f"gittrack can only join a run here, not {what}: {sys.executable} has no {error.name}. "
            f"Install gittrack in this environment{otherwise and ', ' + otherwise}."
        ) from error


class _CallableModule(ModuleType):
    """`gittrack.runs` is a function here and a package beside it. Once the package is imported, Python puts it under
    that name; it must still answer to a call."""

    def __call__(self, where: str | None = None, repo: str = ".") -> Any:
        return _function(where=where, repo=repo)


class _CallableLaunch(ModuleType):
    """The same for `gittrack.launch`."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        return _launch(*args, **named)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("runs", "launch") and isinstance(value, ModuleType):
            value.__class__ = _CallableModule if name == "runs" else _CallableLaunch
        super().__setattr__(name, value)


_function, _launch = runs, launch
sys.modules[__name__].__class__ = _Package
