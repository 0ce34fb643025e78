"""What transfers that were killed have left at a host, and when it may go.

git removes what it has received in vain, but not where a signal ends it; and after SIGKILL or a power cut nobody can.
So whoever receives holds a lock, shared, which all its processes inherit: who gets it alone knows that nobody writes.
Where there is no `flock`, or while somebody else receives, what nobody has written to for an hour goes.
"""

# `hold FOLDER`, and later `sweep FOLDER`, which is no holder any more.
SWEEPING = """
hold() { command exec 9>>"$1/lock" && flock -s 9 2>/dev/null; }
sweep() (
    exec 9>&- 2>/dev/null
    cd "$1" || exit 0
    alone=
    command exec 8>>lock && flock -n 8 2>/dev/null && alone=1
    for each in repos/*.git/objects/*incoming-* repos/new.* cache/incoming.*
    do  [ -d "$each" ] || continue
        [ -n "$alone" ] || [ -z "$(find "$each" -mmin -60 2>/dev/null || echo unknown)" ] && rm -rf "$each"
    done
    find cache -maxdepth 1 -name '.*.new' -mmin +60 -exec rm -f {} + 2>/dev/null
    exit 0
)
"""
