"""Who works here, by the rules of git."""

import os
from collections.abc import Mapping


def user_of(config: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """As git would name the author of a commit; never a refusal: training goes on without a name."""
    login = environ.get("USER") or environ.get("LOGNAME") or str(os.getuid())
    name = environ.get("GIT_AUTHOR_NAME") or config.get("author.name") or config.get("user.name")
    email = environ.get("GIT_AUTHOR_EMAIL") or config.get("author.email") or config.get("user.email")
    return {"name": name or login, "email": email or environ.get("EMAIL") or f"{login}@{os.uname().nodename}"}


def signature(config: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """`Ann <ann@example.org>`."""
    user = user_of(config, environ)
    return f"{user['name']} <{user['email']}>"
