"""How an argument list reaches a process through a login shell that nobody knows, and the few scripts that run there.

SSH carries one text, which the user's login shell at the host reads: bash, dash, zsh, fish, csh. What all of them read
alike is plain words and single quotes without special characters; anything else travels in octal, which a `sh` of fixed
text turns back. No script here is ever put together from values: values are its positional parameters.
"""

import re
import shlex
from collections.abc import Sequence

LONGEST = 120_000  # bytes; Linux gives one argument 128 KiB, and the whole is one argument of the login shell
# fish takes backslashes in single quotes, csh history (!) and newlines; bytes outside ASCII are the locale's business.
_PLAIN = re.compile(r"[A-Za-z0-9 _@%+=:,./?*<>|&;(){}\[\]#~^$\"-]*")
_DECODER = 'eval "exec $(printf %b "$0")"'


def command_line(argv: Sequence[str]) -> str:
    """The text for which every login shell starts `argv`. Raises ValueError (no command, NUL, too long)."""
    if not argv or not argv[0] or argv[0].startswith("-"):
        raise ValueError(f"no command: {list(argv)!r:.80}")
    if any("\0" in each for each in argv):
        raise ValueError("an argument holds a NUL character")
    text = shlex.join(argv) if all(map(_PLAIN.fullmatch, argv)) else _encoded(shlex.join(argv))
    text = f"exec {text}"  # no shell stays behind that would hold the output open, and be signalled instead
    if len(text) > LONGEST:
        raise ValueError(f"the command is too long: {len(text):,} bytes")
    return text


def _encoded(text: str) -> str:
    given = text.encode("utf-8", "surrogateescape")
    octal = "".join(chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"\\0{byte:03o}" for byte in given)
    return f"sh -c '{_DECODER}' '{octal}'"


# Exit codes of the scripts, apart from those of the programs in them.
MISSING, NOT_A_FILE, TORN, REFUSED, OTHERS = 44, 45, 46, 47, 48

# $1: our folder, absolute or from the home. What a login shell prints by itself would be taken for data later: the
# first line shows whether there is any. A folder that holds other things is somebody's, and stays as it is.
FOLDER = """
echo gittrack
cd && umask 077 || exit 47
if [ -d "$1" ] && [ -n "$(ls -- "$1")" ] && ! [ -e "$1/version" ]; then exit 48; fi
mkdir -p -- "$1" && cd -- "$1" && chmod 700 . && [ -w . ] || exit 47
[ -e version ] || { echo 1 > .version.$$ && mv -f .version.$$ version; } || exit 47
cat version && pwd -P
"""

# $1: path, $2: offset, $3: size or nothing. -c of tail counts from 1.
READ = """
[ -e "$1" ] || exit 44
[ -f "$1" ] || exit 45
[ "$2$3" = 0 ] && exec cat -- "$1"
[ -z "$3" ] && exec tail -c "+$(($2 + 1))" -- "$1"
tail -c "+$(($2 + 1))" -- "$1" | head -c "$3"
"""

# $1: path, $2: its folder, $3: size, $4: mode. A cut line is the end of the input, too: the size tells them apart. In
# the folder of a job there may be links that its container has made, even of the name that we are going to use.
WRITE = """
umask 077
case $2 in */jobs/*) [ -L "$2" ] && { echo "$2 is a link" >&2; exit 47; } ;; esac
mkdir -p -- "$2" || exit 47
[ -d "$1" ] && exit 45
t=$2/.$$.new
rm -f -- "$t" && set -C || exit 47
trap 'rm -f -- "$t"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat > "$t" || exit 47
[ "$(wc -c < "$t")" -eq "$3" ] || exit 46
chmod "$4" "$t" && mv -f -- "$t" "$1" || exit 47
"""

# $1: directory. Kind, size, name of each, ended by NUL. find of GNU does it at once; the loop is for all others.
LIST = r"""
[ -d "$1" ] || exit 44
cd -- "$1" || exit 47
if find . -maxdepth 0 -printf '' 2>/dev/null
then exec find . -mindepth 1 -maxdepth 1 -printf '%y %s %f\0'
fi
for f in * .[!.]* ..?*
do  if [ -L "$f" ]; then printf 'l 0 %s\0' "$f"
    elif [ -d "$f" ]; then printf 'd 0 %s\0' "$f"
    elif [ -f "$f" ]; then printf 'f %s %s\0' "$(($(wc -c < "$f")))" "$f"
    elif [ -e "$f" ]; then printf 'o 0 %s\0' "$f"
    fi
done
"""


def script(text: str, *values: str) -> list[str]:
    """The argv of one of the scripts."""
    return ["sh", "-c", text.strip() + "\n", "sh", *values]
