"""All settings, each with where it came from: nothing is harder to explain than a value of unknown origin.

Later ones win: default, `gittrack.yaml` (shared with the project), git config `track.*` (one's own), environment
variables `GITTRACK_*` (this shell), command line (this call).
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from gittrack import errors
from gittrack.config import environment, secret_rules
from gittrack.config.file_policy import FilePolicy
from gittrack.config.keys import BY_NAME, EXAMPLES, KEYS, Key
from gittrack.config.values import Redact, without_login
from gittrack.core.redact import Redactor, secret_values
from gittrack.lazy import lazy

FILE = "gittrack.yaml"
DEFAULT = "default"
COMMAND_LINE = "command line"
_ELSEWHERE = frozenset(("track.remote",))  # keys of git config alone: which remote there is differs from clone to clone


class Places(Protocol):
    """What is needed of `git.discover.Paths`."""

    @property
    def common_dir(self) -> str: ...
    @property
    def worktree(self) -> str | None: ...


class Settings(NamedTuple):
    """See `keys.KEYS` for what each means."""

    experiment: str | None
    metrics: tuple[str, ...]
    goals: Mapping[str, str]
    params: tuple[str, ...]
    snapshot_large: int
    untracked: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    store: tuple[str, ...]
    large: int
    stored: tuple[str, ...]
    artifacts: bool | tuple[str, ...]
    keep: Mapping[str, int]
    upload_rate: int | None
    embedded_limit: int
    autolog: bool
    system_metrics: bool
    env: tuple[str, ...]
    secrets: tuple[str, ...]
    hosts: Mapping[str, Mapping[str, Any]]
    image: str | None
    build: Mapping[str, Any]
    python: str | None
    system_packages: tuple[str, ...]
    install: tuple[str, ...]
    base_image: str | None
    registry_mirror: str | None
    gpus: str | None
    mounts: tuple[str, ...]
    host_keep: int | None
    reconnect: int | None
    inputs: tuple[str, ...]
    redact: Redact
    archive: int | None
    push: bool
    push_batch: int | None
    sign: bool
    hook_large: int
    hook_models: tuple[str, ...]
    hook_allow: tuple[str, ...]
    hook_notebooks: bool
    hook_secrets: bool
    origins: Mapping[str, str]  # of each setting: "default", "gittrack.yaml:3", "git config track.large", …
    cache: str | None  # a directory for what may be lost at any time

    def origin(self, name: str) -> str:
        """Where a setting came from, in words."""
        return self.origins.get(name, DEFAULT)

    @property
    def env_names(self) -> list[str]:
        """The variables of `env`, without the values that some have there."""
        return [text.partition("=")[0] for text in self.env]

    def override(self, **given: Any) -> "Settings":
        """With options of the command line; None is an option that was not given."""
        chosen = {name: value for name, value in given.items() if value is not None}
        return self._replace(**chosen, origins={**self.origins, **dict.fromkeys(chosen, COMMAND_LINE)})

    def redactor(self, environ: Mapping[str, str]) -> Redactor:
        """Takes out what the rules find and what the environment holds under secret-looking names. Raises BadConfig."""
        rules = secret_rules.load(self.cache, self.redact.patterns)
        return Redactor(rules, secret_values(environ), self.redact.allow)

    def policy(self, redactor: Redactor) -> FilePolicy:
        """What a snapshot may hold."""
        return FilePolicy(self.snapshot_large, self.untracked, self.include, self.exclude, redactor)


def load(paths: Places, environ: Mapping[str, str], git_config: Mapping[str, str]) -> Settings:
    """Read everything. `git_config` is what `git config --list` says. Raises BadConfig."""
    found: dict[str, Any] = {key.name: key.default for key in KEYS}
    origins: dict[str, str] = {}
    for name, value, origin in (*_from_file(paths.worktree), *_from_git(git_config), *_from_environment(environ)):
        key = BY_NAME[name]
        parsed = _parsed(key, value, origin)
        if name == "metrics" and isinstance(parsed, dict):  # `metrics: {loss: minimize}` is another way to say goals
            name = "goals"
        found[name] = parsed
        origins[name] = origin
    cache = os.path.join(paths.common_dir, "track", "cache")
    return Settings(**found, origins=origins, cache=cache)


def _from_file(worktree: str | None) -> list[tuple[str, Any, str]]:
    path = os.path.join(worktree, FILE) if worktree else ""
    if not (path and os.path.exists(path)):
        return []
    given = lazy("gittrack.config.yaml_file").read(path, FILE)
    for name, setting in given.items():
        if name not in BY_NAME:
            raise _unknown(f"{FILE}:{setting.line}: {name}", name, list(BY_NAME))
    return [(name, setting.value, f"{FILE}:{setting.line}") for name, setting in given.items()]


def _from_git(git_config: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    known = {key.git_name.lower(): key for key in KEYS}
    found = []
    for name, value in git_config.items():
        if name.lower().startswith("track.") and name.count(".") == 1 and name.lower() not in _ELSEWHERE:
            key = known.get(name.lower())
            if key is None:
                raise _unknown(f"git config {name}", name, [each.git_name for each in KEYS])
            found.append((key.name, value, f"git config {key.git_name}"))
    return found


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    return [(name, value, BY_NAME[name].variable) for name, value in environment.settings(environ).items()]


def _parsed(key: Key, value: Any, origin: str) -> Any:
    try:
        return key.parse(value)
    except (ValueError, TypeError) as error:
        raise errors.BadConfig(
            f"{origin}: {key.name} must be {error}, not {without_login(value)}", _hint(key, value)
        ) from error


def _hint(key: Key, value: Any) -> str:
    example = EXAMPLES[key.name]
    if key.name == "store" and isinstance(value, str) and value.startswith("/"):
        example = f"file://{value}"
    return f"for example `{key.name}: {example}`. {key.meaning}"


def _unknown(where: str, name: str, known: list[str]) -> errors.BadConfig:
    near = lazy("difflib").get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known settings: {', '.join(known)}"
    return errors.BadConfig(f"{where} is no setting", hint)
