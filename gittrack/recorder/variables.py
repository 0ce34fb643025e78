"""Names of the variables by which a process learns which run it belongs to. Apart, for who only says them."""

RUN_ID, RUN_DIR = "GITTRACK_RUN_ID", "GITTRACK_RUN_DIR"
ARTIFACTS = "GITTRACK_ARTIFACTS"
