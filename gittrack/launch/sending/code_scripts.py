"""The programs that take in code and files at a host. They need `sh`, and git or tar.

Fixed texts: what differs comes as positional parameters or as input. Each may be run again after it was cut off
anywhere: what is made stands under another name until it is whole. What a program has to say to us comes in lines that
begin with `gittrack`, so that nothing else is taken for it.
"""

from gittrack.launch.sending.leftovers import SWEEPING

# A repository of our own: no hook runs, nothing is collected while somebody sends, and nobody's settings are read. The
# history is the user's own, so old sins in it (a date, a mode) are no reason to refuse it; nor are attributes that git
# passes over, and what is said of submodules, which nobody clones there.
CONFIG = """[core]
	repositoryformatversion = {version}
	bare = true
	filemode = true
	logAllRefUpdates = false
	hooksPath = /dev/null
{extensions}[receive]
	fsckObjects = true
	autogc = false
	shallowUpdate = true
	denyDeletes = true
	denyNonFastForwards = true
[receive "fsck"]
	badDate = ignore
	badDateOverflow = ignore
	badEmail = ignore
	badFilemode = ignore
	badName = ignore
	badTimezone = ignore
	gitattributesBlob = ignore
	gitattributesLarge = ignore
	gitattributesLineLength = ignore
	gitattributesMissing = ignore
	gitmodulesBlob = ignore
	gitmodulesLarge = ignore
	gitmodulesMissing = ignore
	gitmodulesName = ignore
	gitmodulesPath = ignore
	gitmodulesSymlink = ignore
	gitmodulesUpdate = ignore
	gitmodulesUrl = ignore
	missingEmail = ignore
	missingNameBeforeEmail = ignore
	missingSpaceBeforeDate = ignore
	missingSpaceBeforeEmail = ignore
	multipleAuthors = ignore
	zeroPaddedDate = ignore
	zeroPaddedFilemode = ignore
[gc]
	auto = 0
[maintenance]
	auto = false
"""


def config(project: str) -> str:
    """Settings of the repository of a project, whose name has as many digits as its objects."""
    if len(project) == 64:
        return CONFIG.format(version=1, extensions="[extensions]\n\tobjectFormat = sha256\n")
    return CONFIG.format(version=0, extensions="")


# $1: the program GIT, $2: docker, $3: an image with git or nothing, then the parameters of GIT, our folder first. Where
# the host has no git, that of an image is used.
WITH_GIT = """
text=$1 docker=$2 image=$3
shift 3
if command -v git >/dev/null 2>&1; then exec sh -c "$text" host "$@"; fi
[ -n "$image" ] || { echo gittrack none; exit 0; }
set -f
echo gittrack image
exec $docker run -i --rm --label gittrack=1 --label gittrack.helper=1 --network none --log-driver none \
    --user "$(id -u):$(id -g)" -v "$1:$1" -w / --entrypoint sh "$image" -c "$text" image "$@"
"""

# The same where git alone is to be heard.
WITH_GIT_QUIETLY = WITH_GIT.replace("echo gittrack image\n", "").replace("echo gittrack none;", "echo no git >&2;")

# What nobody's settings have a say in.
_ALONE = """
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_NAMESPACE GIT_PROTOCOL
unset GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_CONFIG GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS GIT_TRACE GIT_TRACE2
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null XDG_CONFIG_HOME=/dev/null HOME=/dev/null
export GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C
umask 077
"""

# $1: our folder, $2: project, $3: settings of a new repository, $4: commit, $5: run or nothing, $6: "whole", or "open"
# where files are still to be put into the work tree.
GIT = (
    _ALONE
    + SWEEPING
    + """command -v git >/dev/null 2>&1 || { echo gittrack none; exit 0; }
repo=$1/repos/$2.git
sweep "$1"
# Where it fails, after those of git that are still about to end.
trap '[ $? = 0 ] && exit; trap "" HUP INT TERM PIPE; exec 9>&-; sleep 1; sweep "$1"' EXIT
trap 'exit 143' HUP INT TERM PIPE
hold "$1"
free() { df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ kb _; echo "$kb"; }; }
if ! [ -f "$repo/HEAD" ]
then
    mkdir -p "$1/repos" && new=$(mktemp -d "$1/repos/new.XXXXXX") \
        && mkdir -p "$new/objects/info" "$new/objects/pack" "$new/refs" "$new/info" \
        && printf '%s' "$3" > "$new/config" && echo 'ref: refs/heads/none' > "$new/HEAD" \
        || { echo gittrack failed init "$(free "$1")"; rm -rf "$new"; exit 61; }
    [ -d "$repo" ] || mv "$new" "$repo" 2>/dev/null
    rm -rf "$new" "$repo/${new##*/}"
fi
echo gittrack ready "$(free "$1")"
cd "$repo" || exit 61
: > used
ls -1t refs/track/code/*/* 2>/dev/null | head -n 9
echo gittrack go
git receive-pack . || exit 62
[ -n "$5" ] || exit 0
job=$1/jobs/$5
if [ -d "$job/work" ]; then echo gittrack placed; exit 0; fi
export GIT_DIR="$repo" GIT_WORK_TREE="$job/work.new" GIT_INDEX_FILE="$job/index.new"
clean() { rm -rf "$job/work.new" "$job/index.new" "$job/index.new.lock"; }
mkdir -p "$job" && clean && umask 022 && mkdir "$job/work.new" && cd "$job/work.new" \
    && git read-tree "$4" && git checkout-index --all --force --quiet \
    || { echo gittrack failed place "$(free "$1")"; clean; exit 63; }
rm -f "$job/index.new"
[ "$6" = whole ] || { echo gittrack open; exit 0; }
[ -d "$job/work" ] || mv "$job/work.new" "$job/work" || exit 63
echo gittrack placed
"""
)

# $1: our folder, $2: project.
UPLOAD = _ALONE + 'cd "$1/repos/$2.git" || exit 61\nexec git upload-pack .\n'

# $1: our folder, $2: run, $3: "whole" or "open". Input: a tar of `tree/`, then `complete`: tar does not mind a
# stream that ends too early between two files.
TREE = """
umask 077
job=$1/jobs/$2
free() { df -Pk "$1" 2>/dev/null | { read -r _; read -r _ _ _ kb _; echo "$kb"; }; }
mkdir -p "$job" && rm -rf "$job/work.new" "$job/tar.new" && umask 022 && mkdir "$job/tar.new" || exit 63
tar -x -o -f - -C "$job/tar.new" && [ -f "$job/tar.new/complete" ] \
    || { echo gittrack failed place "$(free "$1")"; rm -rf "$job/tar.new"; exit 63; }
[ -d "$job/work" ] && { rm -rf "$job/tar.new"; echo gittrack placed; exit 0; }
mv "$job/tar.new/tree" "$job/work.new" && rm -rf "$job/tar.new" || exit 63
[ "$3" = whole ] || { echo gittrack open; exit 0; }
mv "$job/work.new" "$job/work" && echo gittrack placed
"""
