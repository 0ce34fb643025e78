"""What hooks cost a commit that has nothing to do with runs, over a hook that is an empty Python program.

Each is run as git runs it: by its script, with what git hands it. The repository has tracked runs, so that there is
something to look up.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import DIFFERENCE, Line, clocked, in_turns, process
from benchmarks.scene import Scene, write
from gittrack.git import hook_script

TARGET = 60.0
REPEATS = 15
ZERO = "0" * 40


def measure(scene: Scene) -> Iterator[Line]:
    repo = scene.repository("hooks", 200)
    runs(scene, repo)
    write(os.path.join(repo, "empty"), f"#!{sys.executable}\n")
    os.chmod(os.path.join(repo, "empty"), 0o755)
    process(["git", "track", "hooks", "install"], repo, scene.env)
    write(os.path.join(repo, "package000", "module00007.py"), "x = 7\ny = 'a line of text'\n" * 20)
    scene.git(repo, "add", "-u")
    head = scene.git(repo, "rev-parse", "HEAD").decode().strip()
    write(os.path.join(repo, "message"), "A subject\n\nAnd a body.\n")
    rewritten = os.path.join(scene.root, "rewritten")
    write(rewritten, "")
    pushed = os.path.join(scene.root, "pushed")
    write(pushed, f"refs/heads/main {head} refs/heads/main {ZERO}\n")
    args = {
        "pre-commit": [], "prepare-commit-msg": ["message", "message"], "commit-msg": ["message"], "post-commit": [],
        "post-rewrite": ["amend"], "pre-push": ["origin", scene.root],
    }  # fmt: skip
    given = {"post-rewrite": rewritten, "pre-push": pushed}
    for name in hook_script.NAMES:
        yield one(scene, repo, name, args[name], given.get(name, os.devnull))
    yield whole(scene, repo)
    yield many(scene)


def runs(scene: Scene, repo: str) -> None:
    for number in range(5):
        write(os.path.join(repo, "train.py"), f"print({number})\n")
        process(["git", "track", "run", "-q", "true"], repo, scene.env)
    scene.git(repo, "checkout", "-q", "train.py")


def one(scene: Scene, repo: str, name: str, args: list[str], stdin: str) -> Line:
    script = os.path.join(repo, ".git", "hooks", name)

    def empty() -> float:
        return process([os.path.join(repo, "empty")], repo, scene.env, stdin).wall * 1e3

    def ours() -> float:
        return process([script, *args], repo, scene.env, stdin).wall * 1e3

    floor, took = in_turns(REPEATS, empty, ours, discard=3)
    return Line(f"hooks/{name}", f"{name} with nothing to do", "an empty Python hook", floor, took, "ms", TARGET,
                DIFFERENCE)  # fmt: skip


def whole(scene: Scene, repo: str) -> Line:
    """`git commit` with all hooks, over the same with as many empty ones."""
    ours, empty = os.path.join(repo, ".git", "hooks"), scene.folder("empty hooks")
    called = [name for name in hook_script.NAMES if name not in ("pre-push", "post-rewrite")]
    for name in called:
        os.symlink(os.path.join(repo, "empty"), os.path.join(empty, name))

    def commit(hooks: str) -> float:
        write(os.path.join(repo, "train.py"), f"print({os.urandom(8).hex()!r})\n")
        argv = ["git", "-c", f"core.hooksPath={hooks}", "commit", "-q", "-a", "-m", "A change"]
        return process(argv, repo, scene.env).wall * 1e3

    floor, took = in_turns(REPEATS, lambda: commit(empty), lambda: commit(ours))
    work = f"`git commit` with all {len(called)} hooks that it calls"
    return Line("hooks/commit", work, "with as many empty Python hooks", floor, took, "ms", TARGET * len(called),
                DIFFERENCE)  # fmt: skip


def many(scene: Scene) -> Line:
    """pre-commit on a commit of 10,000 files, over what git itself takes to show what is staged."""
    repo = scene.repository("many")
    text = "def function(argument):\n    return argument + 1\n\n\n" * 10
    for number in range(10_000):
        write(os.path.join(repo, f"package{number // 100:03d}", f"module{number:05d}.py"), f"x = {number}\n{text}")
    scene.git(repo, "add", "-A")
    process(["git", "track", "hooks", "install", "pre-commit"], repo, scene.env)

    def diff() -> float:
        return clocked(
            lambda: subprocess.run(["git", "diff", "--cached"], cwd=repo, env=scene.env, stdout=subprocess.DEVNULL)
        )

    def ours() -> float:
        return process([os.path.join(repo, ".git", "hooks", "pre-commit")], repo, scene.env).wall

    floor, took = in_turns(5, diff, ours)
    return Line("hooks/many", "pre-commit of 10,000 new files", "`git diff --cached`", floor, took, "s", 3.0)
