"""100,000 runs in one repository: what everybody's own git notices of them, and what tables of them cost.

The runs are archived, as they are after a push. Beside it stand the same repository without gittrack, and one of 1,000
runs that is otherwise alike.
"""

import os
import random
import shutil
from collections.abc import Callable, Iterator

from benchmarks import large
from benchmarks.harness import LIMIT, Line, Spread, clocked, in_turns, process
from benchmarks.rows.ls import listing
from benchmarks.rows.ls_many import cold_listing
from benchmarks.scene import Scene
from gittrack.git.discover import discover
from gittrack.git.open import open_repository
from gittrack.runs import archives

MANY = 100_000
FEW = 1_000
COMPARED = 100
WHERE = "val/acc > 0.5 and params.lr < 0.5"
DOCUMENTS = ("run.json", "status.json", "params.json", "summary.json")
WITHOUT = "the same repository without gittrack"


def measure(scene: Scene) -> Iterator[Line]:
    repo = built(scene, MANY)
    took = f"built by benchmarks/large.py in {_took[repo]:.0f} s" if repo in _took else ""
    plain = _without(scene, repo)
    refs = len(_git(scene, repo, "for-each-ref", "refs/track").splitlines())
    work = f"refs of {MANY:,} runs by {large.WRITERS} writers, at their remote"
    yield Line("scale/refs", work, "", None, Spread((float(refs),)), "refs", 500, LIMIT, took)
    for direction, work in (("push", _push), ("fetch", _fetch)):
        theirs, ours = _beside(scene, plain, "plain"), _beside(scene, repo, "large")
        floor, taken = in_turns(9, lambda: work(scene, *theirs), lambda: work(scene, *ours))  # noqa: B023 - at once
        what = f"`git {direction}` of one commit of yours, {MANY:,} archived runs"
        yield Line(f"scale/{direction}", what, WITHOUT, floor, taken, "ms", 1.3)
    history = ["git", "log", "--all", "--graph", "-n", "50"]
    floor, taken = in_turns(9, *(_timed(scene, history, one) for one in (plain, repo)))
    yield Line("scale/log", f"`{' '.join(history)}`, {MANY:,} archived runs", WITHOUT, floor, taken, "ms", 2.0)
    yield from _tables(scene, built(scene, FEW), repo)
    reading, index = in_turns(2, lambda: _documents(scene, repo), lambda: cold_listing(scene, repo), discard=0)
    work = f"`git track ls`, {MANY:,} archived runs, no index yet"
    floor_is = "`git cat-file --batch` of the same records (run, status, params, summary)"
    yield Line("scale/index", work, floor_is, reading, index, "s", 1.0)


def _tables(scene: Scene, few: str, many: str) -> Iterator[Line]:
    beside = f"the same, {FEW:,} archived runs"
    for repo in (few, many):
        cold_listing(scene, repo)
    floor, taken = in_turns(15, *(lambda repo=repo: listing(scene, repo, 30) * 1e3 for repo in (few, many)))
    yield Line("scale/ls", f"`git track ls`, {MANY:,} archived runs, warm", beside, floor, taken, "ms", 1.5)
    wished = ["git", "track", "ls", "--where", WHERE]
    floor, taken = in_turns(3, *(_timed(scene, wished, repo) for repo in (few, many)))
    work = f"`git track ls --where '{WHERE}'` over {MANY:,} archived runs"
    yield Line("scale/where", work, beside, floor, taken, "ms", MANY / FEW)
    floor, taken = in_turns(
        5, *(_timed(scene, ["git", "track", "compare", *_some(repo)], repo) for repo in (few, many))
    )
    work = f"`git track compare` of {COMPARED} runs out of {MANY:,}"
    yield Line("scale/compare", work, beside, floor, taken, "ms", 1.5)


_took: dict[str, float] = {}


def built(scene: Scene, runs: int) -> str:
    """A repository with that many archived runs: made once, then used by every topic."""
    repo = os.path.join(scene.root, f"archived-{runs}")
    if not os.path.isdir(repo):
        _took[repo] = clocked(lambda: large.build(repo, scene.env, runs))
    return repo


def _without(scene: Scene, repo: str) -> str:
    plain = os.path.join(scene.root, "plain")
    shutil.rmtree(plain, ignore_errors=True)
    process(["git", "clone", "-q", "--no-local", "--single-branch", "-b", "main", repo, plain], scene.root, scene.env)
    process(["git", "gc", "--quiet", "--prune=now"], plain, scene.env)
    return plain


def _beside(scene: Scene, repo: str, name: str) -> tuple[str, str]:
    """`repo`, and a bare remote of it that has all that it has."""
    remote = os.path.join(scene.root, f"{name}.git")
    shutil.rmtree(remote, ignore_errors=True)
    shutil.copytree(os.path.join(repo, ".git"), remote, copy_function=os.link)  # objects are never written again
    for changing in ("config", "HEAD", "packed-refs"):
        _own_copy(os.path.join(remote, changing))
    shutil.rmtree(os.path.join(remote, "refs"))
    shutil.copytree(os.path.join(repo, ".git", "refs"), os.path.join(remote, "refs"))
    shutil.rmtree(os.path.join(remote, "track"), ignore_errors=True)
    _git(scene, remote, "config", "core.bare", "true")
    process(["git", "config", "remote.origin.url", f"file://{remote}"], repo, scene.env)
    process(["git", "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"], repo, scene.env)
    return repo, remote


def _own_copy(path: str) -> None:
    if os.path.exists(path):
        shutil.copy(path, path + ".copy")
        os.replace(path + ".copy", path)


def _push(scene: Scene, repo: str, _remote: str) -> float:
    _commit(scene, repo)
    return process(["git", "push", "-q", "origin", "main"], repo, scene.env).wall * 1e3


def _fetch(scene: Scene, repo: str, remote: str) -> float:
    _commit(scene, remote)
    return process(["git", "fetch", "-q", "origin"], repo, scene.env).wall * 1e3


def _commit(scene: Scene, repo: str) -> None:
    """One commit more on main."""
    made = _git(scene, repo, "commit-tree", "-p", "main", "-m", "One more", "main^{tree}").strip()
    _git(scene, repo, "update-ref", "refs/heads/main", made)


def _timed(scene: Scene, argv: list[str], repo: str) -> Callable[[], float]:
    return lambda: process(argv, repo, scene.env).wall * 1e3


def _some(repo: str) -> list[str]:
    """The beginnings of ids of runs out of all that are there."""
    runs = MANY if repo.endswith(str(MANY)) else FEW
    return [large.id_of(number)[:10] for number in random.Random(1).sample(range(runs), COMPARED)]


def _documents(scene: Scene, repo: str) -> float:
    """The seconds in which git gives the bytes that a table of all archived runs is made from."""
    specs = os.path.join(scene.root, "archived-specs")
    repository = open_repository(discover(repo, scene.env), scene.env)
    try:
        with open(specs, "w") as file:
            for tip in archives.lists(repository).values():
                for line in archives.lines(repository, tip):
                    file.writelines(f"{line.tree}:{name}\n" for name in DOCUMENTS)
    finally:
        repository.close()
    return process(["git", "cat-file", "--batch"], repo, scene.env, stdin=specs).wall


def _git(scene: Scene, repo: str, *args: str) -> str:
    return scene.git(repo, *args).decode()
