# SPDX-License-Identifier: MIT
# bash completion for shmbctl. Verbs and options come from the command's own help, names of segments from the daemon: nothing here grows stale.

_shmbctl_help() {
	shmbctl "$@" --help 2>/dev/null
}

_shmbctl_names() {
	local socket=() i
	for ((i = 1; i + 1 < ${#COMP_WORDS[@]}; i++)); do
		[ "${COMP_WORDS[i]}" != --socket ] || socket=(--socket "${COMP_WORDS[i + 1]}")
	done
	timeout 2 shmbctl list --no-legend "${socket[@]}" 2>/dev/null | awk '{ print $1 }'
}

# Fields of the segment named on the line: shmbctl plot NAME <Tab>.
_shmbctl_fields() {
	timeout 2 shmbctl info "$1" --json 2>/dev/null | grep -o '"schema":"[^"]*"' | sed 's/"schema":"//; s/"$//; s/\\n/\n/g' |
		awk 'NF == 2 { if ($1 ~ /\[/) print $2 "[0]"; else print $2 }'
}

_shmbctl() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local verb='' place=0 first='' i word

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		--socket | --count | --rate | --interval | --field | --sort | --kind | --schema | --type | --capacity | --explain-user) i=$((i + 1)) ;;
		-*) ;;
		*)
			if [ ! "$verb" ]; then verb=$word; else
				place=$((place + 1))
				[ "$first" ] || first=$word
			fi
			;;
		esac
	done
	case $previous in
	--socket)
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W 'name rate bytes lag lost readers memory' -- "$current")
		return
		;;
	--kind)
		mapfile -t COMPREPLY < <(compgen -W 'value ring queue frame' -- "$current")
		return
		;;
	--field)
		mapfile -t COMPREPLY < <(compgen -W "$(_shmbctl_fields "$first")" -- "$current")
		return
		;;
	--count | --rate | --interval | --schema | --type | --capacity) return ;;
	esac
	if [[ $current == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_shmbctl_help ${verb:+"$verb"} | grep -oE '^ *--[a-z-]*')" -- "$current")
	elif [ ! "$verb" ] || { [ "$verb" = help ] && [ "$place" = 0 ]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$(_shmbctl_help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')" -- "$current")
	elif [ "$verb" = plot ] && [ "$place" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_shmbctl_fields "$first")" -- "$current")
	elif [ "$verb" = snap ] && [ "$place" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
	elif _shmbctl_help "$verb" | head -n 1 | grep NAME >/dev/null && { [ "$place" = 0 ] || [ "$verb" = remove ]; }; then
		mapfile -t COMPREPLY < <(compgen -W "$(_shmbctl_names)" -- "$current")
	fi
}

complete -F _shmbctl shmbctl
