"""A run recorded from a changed work tree, which is then put back: what `apply` and `promote` start from."""

import json

TEXT = "".join(f"line {number}\n" for number in range(1, 31))


class Recorded:
    """`repo` has `model.py` of thirty lines; `run(...)` changes files, records a run and takes the changes back."""

    def __init__(self, repo, git, track):
        self.repo, self.git, self.track = repo, git, track
        self.write("model.py", TEXT)
        self.write("old.py", "old\n")
        self.commit("The model")

    def write(self, path, text):
        target = self.repo / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)

    def edit(self, old, new, path="model.py"):
        target = self.repo / path
        target.write_text(target.read_text().replace(f"{old}\n", f"{new}\n", 1))

    def read(self, path="model.py"):
        return (self.repo / path).read_text()

    def commit(self, message, *options):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message, *options)
        return self.git("rev-parse", "HEAD")

    def run(self, change=None, *options):
        """Record a run in which `change()` was not committed; gives its id."""
        if change is not None:
            change()
        found = json.loads(self.track("run", "--json", *options, "true").stdout)["id"]
        self.clean()
        return found

    def clean(self):
        self.git("reset", "-q", "--hard")
        self.git("clean", "-q", "-f", "-d")

    def status(self):
        return self.git("status", "--porcelain").splitlines()
