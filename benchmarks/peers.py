"""What peers take for the same work: quoted, not measured here."""

WHERE = "Measured side by side on another 2-core machine, November 2026, each peer in its newest version"

FIGURES = (
    ("one scalar logged", "json.dumps + write(2): 3.6 µs",
     "trackio 7.7 (in memory; up to 0.2 s lost on SIGKILL), clearml 8–16 in a thread and 2,054 with its defaults, "
     "wandb 91 (3 % of rows lost), aim 93, mlflow 456 to files, 2,732 to sqlite, 9,000 over http, dvclive 1,460, "
     "keepsake 7,421 µs"),
    ("import", "bare interpreter: 11–16 ms",
     "keepsake 172, wandb 371, clearml 391, trackio 403, aim 721, mlflow 1,187 ms"),
    ("tracking one trivial command", "a snapshot with git: 0.027 s (1,000 files), 0.070 s (20,000)",
     "`dvc exp run` 1.15 s (1,000 files), 24.6 s (20,000)"),
    ("listing runs", "git alone: 0.04 s for 905 runs of two files",
     "keepsake (compiled) 0.023 s at 200; `dvc exp show` 13.9 s cold for 800, 0.98 s warm for 1,004; mlflow 1.75 s "
     "for 1,000 of 2,000, 4 s to a data frame; aim 0.83 s at 200"),
    ("creating a run", "pygit2: 1.1 ms", "mlflow 18, aim 65, keepsake 1,013 ms"),
    ("a checkpoint of 256 MB: how long it takes, or holds the training up", "read, sha256, write: 0.2–0.8 s",
     "mlflow 0.06–0.6 (no digest), keepsake 0.1–0.4 (the rest behind the training), wandb 0.5–0.75, git-lfs 1.1–1.25, "
     "dvc 1.0–1.6 s"),
    ("four versions of it, a tenth of the bytes new each time: kept", "1.3 × one version",
     "mlflow, wandb, git-lfs, dvc 4.0, keepsake 3.0–4.0 ×"),
)  # fmt: skip
