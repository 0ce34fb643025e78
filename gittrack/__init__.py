"""gittrack: git-native experiment tracking. See `init`, `runs`, `current_run`."""

__version__ = "0.1.0"
