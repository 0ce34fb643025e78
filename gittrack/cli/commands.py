"""The table of commands: enough to print the overview, and where to find each one's code when it is called.

Kept as plain data so that `git track help`, completion, the man page and the reference all read one list, and so that
calling one command imports that command's module and no other.

A command is a typer-annotated function. Its docstring is its help: the first line repeats `summary` here (a test holds
them together), then paragraphs, then, last, `Examples:` with two-space indented lines that are shown as they stand. It
returns None, or the exit code. A hidden parameter needs no help; every other one has it.
"""

from typing import NamedTuple


class Entry(NamedTuple):
    target: str  # "module:function"
    summary: str
    passes_on: bool = False  # options after the first argument belong to another program


SECTIONS: dict[str, dict[str, Entry]] = {
    "Record": {
        "run": Entry("gittrack.cli.run:run", "Run a command and record it as a run.", passes_on=True),
    },
    "Jobs at hosts": {
        "attach": Entry(
            "gittrack.cli.attach:attach", "Watch a job at a host again, or go on with one that was being sent."
        ),
        "wait": Entry("gittrack.cli.attach:wait", "Wait until jobs have ended and their results are here."),
        "stop": Entry("gittrack.cli.attach:stop", "End jobs at hosts."),
        "exec": Entry(
            "gittrack.cli.exec:exec_command", "Run a command in the container of a job.", passes_on=True
        ),
        "top": Entry("gittrack.cli.top:top", "Show what jobs use of their hosts: CPU, memory, GPUs."),
        "host": Entry("gittrack.cli.host:host", "Look at a host, and remove what is left there."),
        "image": Entry("gittrack.cli.image:image", "Build, share and remove the container images of jobs."),
    },
    "Look": {
        "ls": Entry("gittrack.cli.ls:ls", "List runs, newest first."),
        "ps": Entry("gittrack.cli.ps:ps", "List the runs that are going on, with their progress."),
        "show": Entry("gittrack.cli.show:show", "Show one run."),
        "logs": Entry("gittrack.cli.logs:logs", "Print the recorded console of a run."),
        "tree": Entry("gittrack.cli.tree:tree", "Draw which run came from which."),
    },
    "Files": {
        "artifacts": Entry("gittrack.cli.artifacts:artifacts", "List the files that were kept with a run."),
        "cat": Entry("gittrack.cli.artifacts:cat", "Print a file of a run."),
        "checkout": Entry("gittrack.cli.checkout:checkout", "Put code and files of a run back."),
        "branch": Entry("gittrack.cli.code:branch", "Make a branch at the code of a run."),
        "apply": Entry("gittrack.cli.code:apply", "Bring the uncommitted changes of a run to the work tree."),
        "promote": Entry("gittrack.cli.code:promote", "Commit the changes of a run on the current branch."),
        "store": Entry("gittrack.cli.store:store", "Bring files of runs to a store and back."),
    },
    "Share": {
        "push": Entry("gittrack.cli.push:push", "Share runs through a git remote."),
        "pull": Entry("gittrack.cli.pull:pull", "Take the runs of others from a git remote."),
        "fetch": Entry(
            "gittrack.cli.pull:fetch", "Bring the results of jobs from a host; or see what runs a git remote has."
        ),
        "export": Entry("gittrack.cli.bundles:export", "Write runs to a file that can be sent to anybody."),
        "import": Entry("gittrack.cli.bundles:import_command", "Take runs out of a file or a folder."),
        "remote": Entry("gittrack.cli.remote:remote", "Show or set which remote holds the runs."),
        "status": Entry("gittrack.cli.remote:status", "Show what is not pushed, not pulled, or not here."),
    },
    "Compare": {
        "diff": Entry("gittrack.cli.diff:diff", "Show what differs between two runs, code included."),
        "compare": Entry("gittrack.cli.compare:compare", "Compare runs in a table."),
    },
    "Annotate": {
        "rename": Entry("gittrack.cli.annotate:rename", "Give a run a name."),
        "tag": Entry("gittrack.cli.annotate:tag", "Tag a run."),
        "untag": Entry("gittrack.cli.annotate:untag", "Take tags off a run."),
        "note": Entry("gittrack.cli.annotate:note", "Add a note to a run."),
        "baseline": Entry("gittrack.cli.annotate:baseline", "Mark the run that others are compared with."),
        "rm": Entry("gittrack.cli.annotate:rm", "Delete runs from every list."),
        "restore": Entry("gittrack.cli.annotate:restore", "Bring deleted runs back."),
    },
    "Keep in order": {
        "log": Entry("gittrack.cli.undo:log", "List what was changed in this clone, newest first."),
        "undo": Entry("gittrack.cli.undo:undo", "Take back the last change."),
        "du": Entry("gittrack.cli.space:du", "Show what runs take on this disk."),
        "archive": Entry("gittrack.cli.archive:archive", "Move finished runs behind three refs."),
        "unarchive": Entry("gittrack.cli.archive:unarchive", "Give archived runs refs of their own again."),
        "purge": Entry("gittrack.cli.purge:purge", "Remove runs for good: a leaked secret."),
        "gc": Entry("gittrack.cli.space:gc", "Remove files that no run needs from this clone."),
        "recover": Entry("gittrack.cli.recover:recover", "Close runs whose processes have died."),
        "hooks": Entry("gittrack.cli.hooks:hooks", "Let git call gittrack when you commit and push."),
        "doctor": Entry("gittrack.cli.doctor:doctor", "Check the repository, the settings and the records."),
        "uninstall": Entry("gittrack.cli.uninstall:uninstall", "Remove all that gittrack put into the repository."),
    },
    "Help": {
        "help": Entry("gittrack.cli.help:help_command", "Show help on git track or on one of its commands."),
        "completion": Entry("gittrack.cli.completion:completion", "Print the completion script for a shell."),
    },
}  # fmt: skip

COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
