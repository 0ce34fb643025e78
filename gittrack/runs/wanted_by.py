"""Which runs want a file, and what it is called there: what is said of a file that is damaged or gone."""

from collections.abc import Container, Iterable
from typing import NamedTuple

from gittrack.git.repository import Repository
from gittrack.runs import artifacts, reader


class Use(NamedTuple):
    """A file of a run."""

    run: str
    path: str


def uses(repo: Repository, run_ids: Iterable[str], digests: Container[str]) -> dict[str, list[Use]]:
    """By digest, each run and path that has it, in the order of `run_ids`."""
    found: dict[str, list[Use]] = {}
    for run_id in run_ids:
        for one in artifacts.artifacts(repo, reader.read(repo, run_id)):
            if one.sha256 in digests:
                use = Use(run_id, one.path)
                if use not in found.setdefault(one.sha256, []):
                    found[one.sha256].append(use)
    return found
