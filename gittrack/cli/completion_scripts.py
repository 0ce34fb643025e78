"""What `git track completion SHELL` prints. See completion.py for what the scripts ask and are answered."""

BASH = r"""# bash completion for git-track and `git track`
# Loaded by itself from ~/.local/share/bash-completion/completions/git-track, or by eval "$(git track completion bash)".

# __gittrack_reply WORD...: fill COMPREPLY for the last of the words after `git track`.
__gittrack_reply() {
    local value text current="${*: -1}" prefix=""
    COMPREPLY=()
    # bash has split the word at a colon: what stands before it must not come back
    if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
        prefix="${current%"${current##*:}"}"
    fi
    while IFS=$'\t' read -r value text; do
        case $value in
        :files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$current")) ;;
        :commands) COMPREPLY+=($(compgen -c -- "$current") $(compgen -f -- "$current")) ;;
        *) printf -v value '%q' "${value#"$prefix"}"; COMPREPLY+=("$value") ;;
        esac
    done < <(git-track __complete "$@" 2>/dev/null)
}

# `git track`: called by git's own completion, which sets words and cword
_git_track() {
    local i=${__git_cmd_idx:-1}
    while [[ $i -lt $cword && ${words[i]} != track ]]; do ((i++)); done
    __gittrack_reply "${words[@]:i+1:cword-i}"
}

# `git-track`: on its own
_git_track_alone() {
    local cur prev words cword
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n ":=" cur prev words cword
    else
        words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    fi
    __gittrack_reply "${words[@]:1:cword}"
}

complete -o bashdefault -F _git_track_alone git-track
"""

ZSH = r"""#compdef git-track
# zsh completion for git-track and `git track`. In ~/.zshrc, after compinit: eval "$(git track completion zsh)"

_git-track() {
    local -a described
    local value text line
    local files=0 commands=0
    while IFS=$'\t' read -r value text; do
        case $value in
            (:files) files=1 ;;
            (:commands) commands=1 ;;
            (*) described+=("${value//:/\\:}:$text") ;;
        esac
    done < <(git-track __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    (( commands )) && { _command_names -e; _files; return }
    (( files )) && { _files; return }
    (( $#described )) && _describe -V 'git track' described
}

(( $+functions[compdef] )) && compdef _git-track git-track
zstyle -g _gittrack_seen ':completion:*:*:git:*' user-commands
[[ ${_gittrack_seen[*]} == *track:* ]] ||
    zstyle ':completion:*:*:git:*' user-commands $_gittrack_seen track:'track machine-learning experiments in git'
unset _gittrack_seen
[[ ${funcstack[1]} == _git-track ]] && _git-track "$@"
"""

FISH = r"""# fish completion for git-track and `git track`
# Loaded by itself from ~/.config/fish/completions/git-track.fish, or by: git track completion fish | source

function __gittrack_complete
    set -l words (commandline -opc)
    if test (basename -- $words[1]) = git
        while set -q words[1]; and test $words[1] != track
            set -e words[1]
        end
    end
    set -e words[1]
    for line in (git-track __complete $words (commandline -ct) 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (commandline -ct)
            case :commands
                __fish_complete_command
            case '*'
                echo $line
        end
    end
end

function __gittrack_in_git
    set -l words (commandline -opc)
    contains -- track $words[2..-1]
end

complete -c git-track -f -a '(__gittrack_complete)'
complete -c git -n __gittrack_in_git -f -a '(__gittrack_complete)'
complete -c git -n __fish_git_needs_command -f -a track -d 'Track machine-learning experiments in git'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
