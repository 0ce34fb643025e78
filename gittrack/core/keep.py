"""Which checkpoints of a run keep their files, by `keep:` of gittrack.yaml. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

BEST, LATEST, EVERY = "best", "latest", "every"


class Moment(NamedTuple):
    """A checkpoint with files, in the order of the run. `value`: what decides about the best ones; None: nothing."""

    parcel: str
    value: float | None = None


def let_go(moments: Sequence[Moment], policy: Mapping[str, int], goal: str | None = None) -> list[str]:
    """The parcels that `policy` does not keep.

    The latest is always kept. `every: 10` keeps the 10th, 20th, …; of equal values the earlier is the better one. Where
    `best` is asked for and no checkpoint has a value, or nobody says which way is better, nothing is let go: which of
    them was wanted cannot be known.
    """
    if not policy:
        return []
    count = len(moments)
    kept = set(range(count)[-max(1, policy.get(LATEST, 1)) :])
    every = policy.get(EVERY, 0)
    if every:
        kept |= set(range(every - 1, count, every))
    best = policy.get(BEST, 0)
    if best:
        ranked = [(moment.value, at) for at, moment in enumerate(moments) if _is_number(moment.value)]
        if not ranked or goal not in ("minimize", "maximize"):
            return []
        sign = 1 if goal == "minimize" else -1
        kept |= {at for _, at in sorted((sign * (value or 0.0), at) for value, at in ranked)[:best]}
    stay = {moments[at].parcel for at in kept}  # a record by hand may have a parcel twice
    return list(dict.fromkeys(moment.parcel for moment in moments if moment.parcel not in stay))


def _is_number(value: float | None) -> bool:
    return value is not None and value == value
