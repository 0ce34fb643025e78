"""Looks at everything that can be wrong and says what to run about it. Changes nothing but the index, a cache."""

from collections.abc import Callable, Iterator

from gittrack import errors
from gittrack.runs import (
    checks_archives,
    checks_files,
    checks_hooks,
    checks_purged,
    checks_records,
    checks_remotes,
    checks_repository,
)
from gittrack.runs.findings import ERROR, Finding, Patient

Check = Callable[[Patient], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    checks_repository.git_version,
    checks_repository.repository_kind,
    checks_repository.configuration,
    checks_repository.remotes,
    checks_repository.file_system,
    checks_repository.load,
    checks_repository.writer_binding,
    checks_hooks.installed,
    checks_records.records,
    checks_archives.lists,
    checks_records.objects,
    checks_files.files,
    checks_records.annotations,
    checks_purged.purged,
    checks_records.index,
    checks_records.live_runs,
    checks_records.operation_log,
    checks_remotes.aside,
    checks_remotes.refused,
    checks_remotes.lost,
)


def examine(patient: Patient) -> Iterator[Finding]:
    """All findings, check by check, as they come. A check that fails is a finding itself: the others still speak."""
    for check in CHECKS:
        try:
            yield from check(patient)
        except errors.GittrackError as error:
            yield Finding(ERROR, error.message, error.hint)
