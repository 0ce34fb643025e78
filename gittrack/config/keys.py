"""Every setting there is: name, kind, default, meaning. The one table behind loading, messages and documentation."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gittrack.config import values


class Key(NamedTuple):
    name: str
    parse: Callable[[Any], Any]  # what YAML or a text gives -> the value; ValueError says what is expected
    default: Any
    form: str  # how it is written
    meaning: str

    @property
    def git_name(self) -> str:
        """As in `git config`: camelCase, which git folds."""
        first, *rest = self.name.split("_")
        return "track." + first + "".join(word.capitalize() for word in rest)

    @property
    def variable(self) -> str:
        """As an environment variable."""
        return "GITTRACK_" + self.name.upper()


MODELS = (
    "*.pt", "*.pth", "*.ckpt", "*.safetensors", "*.onnx", "*.h5", "*.hdf5", "*.keras", "*.tflite", "*.gguf", "*.ggml",
    "*.mlmodel", "*.pdparams", "*.caffemodel", "*.joblib", "pytorch_model*.bin",
)  # fmt: skip

KEYS = (
    Key("experiment", values.text, None, "text", "Name under which runs are grouped when `--experiment` is not given."),
    Key(
        "metrics",
        values.metrics,
        (),
        "list of files, or metric: goal",
        "JSON, YAML or CSV files that the command writes its metrics to.",
    ),
    Key(
        "goals",
        values.goals,
        {},
        "metric: minimize or maximize",
        "Which way is better; without it there is no best value.",
    ),
    Key("params", values.texts, (), "list of files", "YAML or JSON files whose content are parameters of the run."),
    Key(
        "snapshot_large",
        values.size,
        10_000_000,
        "size",
        "A new or changed file above this size is left out of the snapshot, and named.",
    ),
    Key(
        "untracked",
        values.size,
        200_000_000,
        "size",
        "All untracked files of a snapshot together; above it the heaviest directory is left out, and named.",
    ),
    Key(
        "include",
        values.texts,
        (),
        "list of patterns",
        "Ignored files to capture all the same, whatever their size or name.",
    ),
    Key("exclude", values.texts, (), "list of patterns", "Files not to capture."),
    Key(
        "store",
        values.stores,
        ("embedded",),
        "embedded, lfs, URL, or a list",
        "Where large files of runs are kept; of several stores each holds all.",
    ),
    Key(
        "large",
        values.size,
        1_000_000,
        "size",
        "A file of a run up to this size is kept in git with the run's record, a larger one in the store.",
    ),
    Key(
        "stored",
        values.texts,
        (),
        "list of patterns",
        "Files of a run that go to the store however small they are.",
    ),
    Key(
        "artifacts",
        values.flag_or_texts,
        True,
        "true, false, or list of patterns",
        "Whether files that `torch.save` writes are kept with the run; or which of them.",
    ),
    Key(
        "keep",
        values.keep,
        {},
        "best:, latest:, every: numbers",
        "Which checkpoints of a run keep their files; without it all do.",
    ),
    Key(
        "upload_rate",
        values.rate,
        None,
        "size per second",
        "Most that uploads to a store take of the line.",
    ),
    Key(
        "embedded_limit",
        values.size,
        1_000_000_000,
        "size",
        "With `store: embedded`, most bytes of files that go as git objects to a git remote that has no git-lfs.",
    ),
    Key(
        "autolog",
        values.flag,
        True,
        "true or false",
        "Whether argparse parameters and system metrics are recorded without a line of code.",
    ),
    Key(
        "system_metrics", values.flag, True, "true or false", "Whether CPU, memory and GPU use are recorded as series."
    ),
    Key(
        "env",
        values.texts,
        (),
        "list of names, or NAME=VALUE",
        "Environment variables to record besides those that are known to change results, and to pass to containers.",
    ),
    Key(
        "secrets",
        values.texts,
        (),
        "list of names",
        "Environment variables to pass to containers, whose values are taken out of all that is recorded.",
    ),
    Key(
        "hosts",
        values.hosts,
        {},
        "names, each with host: and more",
        "Hosts for `run -H NAME`: `host` is their address, `image`, `gpus`, `mounts` and the like what jobs there get.",
    ),
    Key(
        "build",
        values.build,
        {},
        "path, or mapping",
        "The Dockerfile for jobs at hosts; or `dockerfile`, `context`, `args`, `target`, `network`, `ca` of a build.",
    ),
    Key("python", values.version, None, "version", "The Python of an image that is made for jobs at hosts."),
    Key(
        "system_packages", values.texts, (), "list of names", "Packages of the system that such an image gets, by apt."
    ),
    Key("install", values.commands, (), "list of commands", "Commands that end the making of such an image."),
    Key(
        "base_image", values.text, None, "name", "What such an image begins with; else it is chosen by the host's GPUs."
    ),
    Key("registry_mirror", values.text, None, "address", "Where public images are pulled from in place of Docker Hub."),
    Key("image", values.text, None, "name", "The container image in which jobs at hosts are executed."),
    Key("gpus", values.gpus, None, "all, none, or numbers", "GPUs that a job at a host gets."),
    Key("mounts", values.texts, (), "list of HOST:CONTAINER[:ro]", "Folders of the host that jobs there see."),
    Key(
        "host_keep",
        values.limit,
        7,
        "number of days, or false",
        "How long hosts keep jobs whose results are in a clone, code and inputs: until then nothing is sent twice.",
    ),
    Key(
        "reconnect",
        values.limit,
        300,
        "number of seconds, or false",
        "How long a host is tried again when the connection breaks while a job is sent or watched.",
    ),
    Key(
        "inputs",
        values.texts,
        (),
        "list of patterns",
        "Files and folders besides the snapshot that jobs at hosts get, ignored or large ones: each is sent once.",
    ),
    Key(
        "redact",
        values.redact,
        values.Redact(),
        "patterns: and allow: lists",
        "Regular expressions of further secrets; texts, or names of rules, that are none.",
    ),
    Key(
        "hook_large",
        values.size,
        5_000_000,
        "size",
        "The pre-commit hook refuses a binary file above this size that is not tracked by git-lfs, and a text ten "
        "times as large.",
    ),
    Key(
        "hook_models",
        values.texts,
        MODELS,
        "list of patterns",
        "Files that the pre-commit hook takes for models and refuses at any size unless git-lfs tracks them.",
    ),
    Key(
        "hook_allow",
        values.texts,
        (),
        "list of patterns",
        "Files that the pre-commit hook lets pass whatever they hold.",
    ),
    Key(
        "hook_notebooks",
        values.flag,
        False,
        "true or false",
        "Whether the pre-commit hook refuses notebooks with outputs.",
    ),
    Key("hook_secrets", values.flag, True, "true or false", "Whether the pre-commit hook looks for secrets."),
    Key(
        "archive",
        values.limit,
        20,
        "number, or false",
        "Finished runs recorded in this clone that may have refs of their own; when there are more, all but the newest "
        "half of that number are archived.",
    ),
    Key(
        "push",
        values.automatic,
        False,
        "auto, or false",
        "Whether runs are pushed when they have ended, by a process that nobody waits for; after a first push by hand.",
    ),
    Key(
        "push_batch",
        values.limit,
        100,
        "number",
        "Most refs that one push to a git remote moves.",
    ),
    Key(
        "sign",
        values.flag,
        True,
        "true or false",
        "Whether what you say about runs is signed by git; only where git has a `user.signingKey`.",
    ),
)
BY_NAME = {key.name: key for key in KEYS}
EXAMPLES = {
    "experiment": "ablation",
    "metrics": "[metrics.json]",
    "goals": "{val_loss: minimize}",
    "params": "[params.yaml]",
    "snapshot_large": "10MB",
    "untracked": "200MB",
    "include": "[data/labels.csv]",
    "exclude": '["*.tmp"]',
    "store": "s3://bucket/prefix",
    "large": "1MB",
    "stored": '["*.pt"]',
    "artifacts": '["*.pt"]',
    "keep": "{best: 3, latest: 1}",
    "upload_rate": "5MB/s",
    "embedded_limit": "1GB",
    "autolog": "false",
    "system_metrics": "false",
    "env": "[CUDA_VISIBLE_DEVICES]",
    "secrets": "[HF_TOKEN]",
    "hosts": "{gpu1: {host: ann@gpu1.example.org, gpus: all}}",
    "build": "Dockerfile",
    "python": "3.12",
    "system_packages": "[libgl1]",
    "install": '["pip install flash-attn"]',
    "base_image": "pytorch/pytorch:2.6.0-cuda12.4-cudnn9-runtime",
    "registry_mirror": "mirror.example.org",
    "image": "python:3.12",
    "gpus": "all",
    "mounts": "[/data:/data:ro]",
    "host_keep": "30",
    "reconnect": "60",
    "inputs": "[data/]",
    "redact": '["AKIA[0-9A-Z]+"]',
    "hook_large": "20MB",
    "hook_models": '["*.pt", "*.onnx"]',
    "hook_allow": "[tests/data]",
    "hook_notebooks": "true",
    "hook_secrets": "false",
    "archive": "false",
    "push": "auto",
    "push_batch": "25",
    "sign": "false",
}
