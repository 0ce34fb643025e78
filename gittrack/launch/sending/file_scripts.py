"""The programs that take in files at a host: by their content, once, and copies of them into the work trees of jobs.

As in `code_scripts`: fixed texts, to be run again after a cut anywhere. `cache/files` never holds what is not right: a
file gets its name after its digest was checked there. Work trees get copies (reflinks where the file system has them),
never links: a job may write into them.
"""

from gittrack.launch.sending.leftovers import SWEEPING

# $1: our folder. Input: digests, one a line. Output: size and path of those that are there: what a power cut has torn
# after it was checked has another size than it should have. What is asked for is in use from now on: another job that
# ends meanwhile removes what is not.
LACKING = (
    SWEEPING
    + """
umask 077
cd "$1" && mkdir -p cache/files || exit 61
sweep "$1"
df -Pk . 2>/dev/null | { read -r _; read -r _ _ _ kb _; echo gittrack free "$kb"; }
while read -r d
do  rest=${d#??}
    echo "cache/files/${d%"$rest"}/$d"
done | xargs sh -c 'touch -c "$@"; stat -c "%s %n" "$@"' sh 2>/dev/null
echo gittrack all
"""
)

# $1: our folder. Input: a tar of files whose names are their digests. One that was cut off gives what was whole.
STORE = (
    SWEEPING
    + """
umask 077
hold "$1"
free() { df -Pk . 2>/dev/null | { read -r _; read -r _ _ _ kb _; echo "$kb"; }; }
cd "$1" && mkdir -p cache/files && new=$(mktemp -d "$1/cache/incoming.XXXXXX") || exit 61
trap '' PIPE HUP
trap : TERM
tar -x -o -m -f - -C "$new"
torn=$?
left=$(free)
cd "$new" || exit 61
if [ -n "$(ls -A)" ]
then
    printf '%s\\n' * | xargs sha256sum -- | while read -r d n
    do [ "$d" = "$n" ] || { rm -f -- "$n"; [ $torn = 0 ] && echo gittrack damaged "$n"; }
    done
    for p in $(ls | cut -c 1-2 | sort -u)
    do mkdir -p "../files/$p" && mv -f -- "$p"* "../files/$p/" || torn=1
    done
fi
cd / && rm -rf "$new"
[ $torn = 0 ] || { echo gittrack failed store "$left"; exit 62; }
echo gittrack kept
"""
)

# $1: PUT_BY_PYTHON, $2: our folder, $3: run, $4: which folder of the job they go into: its work tree, or the checkpoint
# to go on from. That is there when it is whole; until then it is called `$4.new`.
# Input: kind, digest or target, and path of each file, ended by NULs.
PUT = r"""
job=$2/jobs/$3
free() { df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ kb _; echo "$kb"; }; }
if [ -d "$job/$4" ]; then echo gittrack placed; exit 0; fi
umask 022
cd "$job/$4.new" || exit 64
if python3 -I -c '' 2>/dev/null
then python3 -I -c "$1" "$2/cache/files" || bad=1
else
    if cp --reflink=auto /dev/null ../probe 2>/dev/null; then share=--reflink=auto; else share=; fi
    rm -f ../probe
    export share cache="$2/cache/files"
    xargs -0 -n 300 sh -c '
        set -e
        while [ $# -gt 2 ]
        do  case $3 in */*) [ -d "./${3%/*}" ] || mkdir -p "./${3%/*}" ;; esac
            rm -f "./$3"
            rest=${2#??}
            case $1 in
                gone) ;;
                link) ln -s -- "$2" "./$3" ;;
                empty) : > "./$3" ;;
                *) cp $share "$cache/${2%"$rest"}/$2" "./$3"
                   case $1 in exec) chmod 755 "./$3" ;; *) chmod 644 "./$3" ;; esac ;;
            esac
            shift 3
        done' sh || bad=1
fi
[ -z "$bad" ] || { echo gittrack failed put "$(free .)"; cd / && rm -rf "$job/$4.new"; exit 63; }
[ -d "$job/$4" ] || mv "$job/$4.new" "$job/$4" || exit 63
echo gittrack placed
"""

# For hosts that have Python, 3.6 or later: 10,000 small files take a second and not ten.
PUT_BY_PYTHON = """
import fcntl, os, sys
cache = os.fsencode(sys.argv[1])
fields = sys.stdin.buffer.read().split(b"\\0")[:-1]
made = set()
shares = True
for kind, value, path in zip(fields[::3], fields[1::3], fields[2::3]):
    above = os.path.dirname(path)
    if above and above not in made:
        os.makedirs(above, exist_ok=True)
        made.add(above)
    if os.path.lexists(path):
        os.unlink(path)
    if kind == b"link":
        os.symlink(value, path)
    elif kind == b"empty":
        open(path, "wb").close()
    elif kind != b"gone":
        source = os.path.join(cache, value[:2], value)
        with open(source, "rb", 0) as there, open(path, "wb", 0) as here:
            if shares:
                try:
                    fcntl.ioctl(here.fileno(), 0x40049409, there.fileno())
                except OSError:
                    shares = False
            if not shares:
                left = os.fstat(there.fileno()).st_size
                while left > 0:
                    done = os.sendfile(here.fileno(), there.fileno(), None, min(left, 1 << 30))
                    if not done:
                        raise OSError("cut short: " + os.fsdecode(source))
                    left -= done
        if kind == b"exec":
            os.chmod(path, 0o755)
"""
