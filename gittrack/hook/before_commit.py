"""The pre-commit hook: large files, secrets and outputs of notebooks are stopped before they are history.

Once they are committed and pushed, getting them out again takes a rewrite of everybody's clone.
"""

from collections.abc import Callable, Mapping, Sequence

from gittrack import errors
from gittrack.config.settings import Settings
from gittrack.hook import staged
from gittrack.hook.finding import Finding, report
from gittrack.hook.main import say
from gittrack.hook.patterns import fits
from gittrack.hook.place import Place, here
from gittrack.lazy import lazy

Check = Callable[[], list[Finding]]


def check(environ: Mapping[str, str], args: Sequence[str]) -> bool:
    """Whether the commit is refused. `args`: files, from the pre-commit framework. Raises GittrackError."""
    place = here(environ)
    return _check(place, staged.scope(place, args))


def check_merge(environ: Mapping[str, str], _args: Sequence[str]) -> bool:
    """The same of a merge that git is about to commit by itself. Raises GittrackError."""
    place = here(environ)
    return _check(place, staged.scope_of_merge(place))


def _check(place: Place, wanted: staged.Scope) -> bool:
    changes = staged.changes(place, wanted)
    if not changes:
        return False
    settings = place.settings()
    allowed = fits(settings.hook_allow)
    changes = [one for one in changes if not allowed(one.path)]
    found = _found(place, wanted, changes, settings)
    if found:
        say(report(found))
    return bool(found)


def _found(place: Place, wanted: staged.Scope, changes: Sequence[staged.Change], settings: Settings) -> list[Finding]:
    sizes = staged.sizes(place.git, [one.oid for one in changes], place.index_env)
    large = lazy("gittrack.hook.large_files")
    found = _tried("files", lambda: large.findings(place, changes, sizes, settings))
    if settings.hook_notebooks:
        found += _tried("notebooks", lambda: lazy("gittrack.hook.notebooks").findings(place, changes))
    if settings.hook_secrets and changes:
        searched = {one.path for one in changes if sizes.get(one.oid, 0) <= settings.hook_large}
        found += _tried(
            "secrets", lambda: lazy("gittrack.hook.secrets").findings(place, wanted, changes, searched, settings)
        )
    return found


def _tried(what: str, check: Check) -> list[Finding]:
    """What a check finds; one that fails says so, and the others still speak."""
    try:
        return check()
    except errors.GittrackError as error:
        why = error.message
    except Exception as error:  # noqa: BLE001 - see gittrack.hook.main
        why = f"{type(error).__name__}: {error}"
    say(f"gittrack: {what} of this commit could not be checked: {why}")
    return []
