from collections.abc import Callable, Iterator
from pathlib import Path

import builder
import pytest

from gittrack.git.repository import Repository
from gittrack.runs.index import Index, open_index


@pytest.fixture
def store(repo: Path) -> Iterator[Repository]:
    """The objects and refs of `repo`."""
    opened = builder.opened(repo)
    yield opened
    opened.close()


@pytest.fixture
def fresh(store: Repository) -> Iterator[Callable[[], Index]]:
    """`fresh()` opens the index as a new process would, brought up to date."""
    made: list[Index] = []

    def call() -> Index:
        made.append(open_index(store.paths))
        made[-1].refresh(lambda: store)
        return made[-1]

    yield call
    for index in made:
        index.close()
