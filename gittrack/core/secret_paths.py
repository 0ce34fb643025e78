"""Files that are secrets by their name, whatever they hold, and what is secret in them.

A name is the only warning for a password file: no pattern knows a password. Such a file is never captured unless it is
asked for or already tracked; of a tracked one, new assignments to secret-looking names keep the change out.
"""

import re
from fnmatch import fnmatchcase

from gittrack.core.redact import Redactor
from gittrack.recorder.secret_names import is_secret_name

_HARMLESS = (".env.example", ".env.sample", ".env.template", ".env.dist", ".env.defaults", "*.pub")
_NAMES = (
    ".env", ".env.*", "*.env", ".envrc",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk", "*.asc.key",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "credentials", "credentials.json", "client_secret*.json", "service-account*.json", "service_account*.json",
    "*-service-account.json", "*_service_account.json", "application_default_credentials.json", "kaggle.json",
    "secrets.json", "secrets.yaml", "secrets.yml", "secrets.toml", ".secrets", ".secrets.*",
    ".netrc", "_netrc", ".npmrc", ".yarnrc", ".pypirc", ".git-credentials", ".htpasswd", ".pgpass", ".my.cnf", ".s3cfg",
    ".boto", ".vault-token", "kubeconfig", "*.tfvars", "*.tfstate", "*.ovpn",
)  # fmt: skip
_PLACES = (
    ".aws/*", ".ssh/*", ".gnupg/*", ".kube/config", ".docker/config.json", ".config/gcloud/*", ".huggingface/token",
    ".streamlit/secrets.toml",
)  # fmt: skip
_ASSIGNMENT = rb"(?m)^\s*(?:export\s+)?[\"']?([A-Za-z_][\w.-]*)[\"']?\s*[:=]\s*(\S.*?)\s*$"


# Most patterns need no pattern matching: 20,000 names are judged in 40 ms instead of 600.
_WHOLE = frozenset(name for name in _NAMES if "*" not in name)
_ENDS = tuple(name[1:] for name in _NAMES if name.startswith("*"))
_STARTS = tuple(name[:-1] for name in _NAMES if name.endswith("*"))
_OTHER = tuple(name for name in _NAMES if "*" in name[1:-1])


def reason(path: str) -> str | None:
    """Why a file of this name is left out, or None."""
    below = "/" + path.lower()
    name = below.rpartition("/")[2]
    secret = name in _WHOLE or name.endswith(_ENDS) or name.startswith(_STARTS)
    secret = secret or any(fnmatchcase(name, pattern) for pattern in _OTHER)
    secret = secret or any(fnmatchcase(below, "*/" + place) for place in _PLACES if place[:4] in below)
    if not secret or any(fnmatchcase(name, pattern) for pattern in _HARMLESS):
        return None
    return "looks like a file of secrets"


def find(redactor: Redactor, path: str, content: bytes) -> frozenset[tuple[str, bytes]]:
    """(kind, secret) of all secrets in the content of a file."""
    found = redactor.find(content)
    if reason(path) is None:
        return found
    named = ((match[1], match[2]) for match in re.finditer(_ASSIGNMENT, content))
    return found | {("Secret Setting", value) for name, value in named if is_secret_name(name.decode())}
