"""Files of runs that need not be kept any more: said, asked for, and decided by a policy.

Nothing is deleted here. What is said is an annotation, which `git track undo` takes back; the bytes go with the next
`git track gc`, when no other run needs them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gittrack import errors
from gittrack.core import annotations, keep, layout
from gittrack.core.annotations import Op
from gittrack.core.model import Record
from gittrack.git.repository import Repository
from gittrack.runs import annotations as saying
from gittrack.runs import artifacts, live_checkpoints, logs, reader
from gittrack.runs.annotations import Author, Saying

OVER = ("completed", "failed", "killed", "crashed")


class Choice(NamedTuple):
    """What decides which checkpoint is best. None: the run's own primary metric."""

    metric: str | None = None
    goal: str | None = None


PRIMARY = Choice()


def pruned(repo: Repository) -> Mapping[str, Mapping[str, Op]]:
    """Run id -> parcel -> who said when that its files need not be kept."""
    return annotations.pruned(logs.operations(repo))


def prune(repo: Repository, parcels: Mapping[str, Sequence[str]], author: Author) -> int:
    """Say it of these parcels (run id -> names), in one operation. Returns of how many runs something new was said."""
    gone = pruned(repo)
    new = {run: [one for one in names if one not in gone.get(run, ())] for run, names in parcels.items()}
    said = [Saying(run, "pruned", names) for run, names in new.items() if names]
    saying.say(repo, said, author)
    return len(said)


def all_of(repo: Repository, record: Record) -> list[str]:
    """Every parcel of a run that is over. Raises UsageError for one that is not."""
    if record.status.get("status") not in OVER:
        raise errors.UsageError(f"run {record.id[: layout.SHORT]} is still going", "stop it first, or wait for its end")
    return list(dict.fromkeys(one.parcel for one in artifacts.artifacts(repo, record)))


def by_policy(repo: Repository, record: Record, policy: Mapping[str, int], choice: Choice = PRIMARY) -> list[str]:
    """The parcels of checkpoints that `policy` does not keep. Logged files stay, and so do all metrics."""
    metric, goal = _decided(repo, record, choice)
    checkpoints = [one for one in reader.checkpoints(repo, record) if one.parcel]
    moments = [keep.Moment(one.parcel or "", _value(one, metric)) for one in checkpoints]
    return keep.let_go(moments, policy, goal)


def of_all(repo: Repository, ids: Iterable[str], policy: Mapping[str, int]) -> dict[str, list[str]]:
    """What `policy` lets go of the runs that are over and of which nothing was decided by hand: run id -> parcels."""
    gone = pruned(repo)
    found: dict[str, list[str]] = {}
    for run_id in ids if policy else ():
        record = reader.read(repo, run_id)
        if record.status.get("status") in OVER and record.summary.get("artifacts"):
            new = [one for one in by_policy(repo, record, policy) if one not in gone.get(run_id, ())]
            found |= {run_id: new} if new else {}
    return found


def keep_best(repo: Repository, run_id: str, count: int, choice: Choice, author: Author) -> int:
    """Let go of all checkpoints' files but those of the `count` best ones and of the latest. Returns of how many.

    Raises UsageError when it cannot be said which ones are best.
    """
    record = reader.read(repo, run_id)
    going = by_policy(repo, record, {keep.BEST: count, keep.LATEST: 1}, choice)
    if not going and (problem := _undecided(repo, record, choice)):
        raise errors.UsageError(f"which checkpoints of run {run_id[: layout.SHORT]} are best cannot be said", problem)
    gone = pruned(repo).get(run_id, ())
    new = [one for one in going if one not in gone]
    prune(repo, {run_id: new}, author)
    return len(new)


def _undecided(repo: Repository, record: Record, choice: Choice) -> str:
    metric, goal = _decided(repo, record, choice)
    if metric is None:
        return 'name the metric: keep_best(run, metric="val_loss")'
    checkpoints = [one for one in reader.checkpoints(repo, record) if one.parcel]
    if checkpoints and all(_value(one, metric) is None for one in checkpoints):
        return f"no checkpoint has a value of {metric!r}"
    return "" if goal else f'say which way is better: keep_best(run, metric="{metric}", goal="minimize")'


def _decided(repo: Repository, record: Record, choice: Choice) -> Choice:
    """The metric and its goal, as far as somebody says them."""
    primary = record.summary.get("primary") or _primary_so_far(repo, record.id)
    metric = choice.metric or primary.get("metric")
    goals = {**(record.summary.get("goals") or {}), primary.get("metric"): primary.get("goal")}
    return Choice(metric, choice.goal or goals.get(metric))


def _primary_so_far(repo: Repository, run_id: str) -> Mapping[str, str]:
    """What the checkpoints of a live run say last: its summary is only made when it is committed."""
    found: dict[str, str] = {}
    for event in live_checkpoints.said(repo.paths, run_id, live_checkpoints.CHECKPOINT):
        if event.get("primary"):
            found = {"metric": event["primary"][0], "goal": event["primary"][1]}
    return found


def _value(checkpoint: reader.Checkpoint, metric: str | None) -> float | None:
    value = checkpoint.metrics.get(metric) if metric is not None else None
    return value if isinstance(value, (int, float)) else None
