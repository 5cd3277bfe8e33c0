#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs SQL on the connection in whose directory this file stands, and prints
# the rows. Needs a POSIX shell and cat.
#
# What runs has a session of its own, whose name holds a number that connfs puts
# into this text each time it is opened. A child sends the SQL; meanwhile one
# cat after the other prints results/1, results/2 and so on, each of which waits
# for its result set. This process itself only waits for its children: there it
# hears signals, and in a request that a statement holds it would not.

set -u
LC_ALL=C # bytes are bytes, in every shell

usage() {
	printf '%s\n' \
		'usage: sql [-f FORMAT] [SQL] [-- VALUE...]' \
		'' \
		'Runs SQL, one argument or standard input, and prints the rows.' \
		'' \
		'  -f FORMAT  csv (unless given), tsv, json, jsonl or txt' \
		'  -- VALUE   parameters of the first statement, as strings'
}

fail() {
	printf 'sql: %s\n' "$1" >&2
	exit 1
}

refuse() {
	printf 'sql: %s\n' "$1" >&2
	usage >&2
	exit 1
}

# Prints what stands between the quotes of a JSON string.
quote() {
	rest=$1
	while [ "$rest" ]; do
		# In pieces: to cut a long text often takes long.
		part=$rest
		if [ "${#rest}" -gt 1000 ]; then
			part=$(printf '%.1000s.' "$rest")
			part=${part%.}
		fi
		rest=${rest#"$part"}
		while
			plain=${part%%[\"\\[:cntrl:]]*}
			printf '%s' "$plain"
			[ "$plain" != "$part" ]
		do
			part=${part#"$plain"}
			case $part in
			\"* | \\*) printf '\\%.1s' "$part" ;;
			*) printf '\\u%04x' "'$part" ;;
			esac
			part=${part#?}
		done
	done
}

send_params() {
	between=
	printf '['
	for value; do
		printf '%s"' "$between"
		quote "$value"
		printf '"'
		between=,
	done
	printf ']\n'
}

end_session() {
	echo "$name" >"$dir/sessions/.end"
	# The kernel looks, and forgets what it remembers of it.
	[ ! -e "$session" ]
} 2>/dev/null

# In a child, whose end is up to its parent; 5 is standard error.
send() {
	trap '' HUP INT QUIT
	# Who waits for rows would wait for ever.
	trap end_session EXIT
	exec 4>"$session/query.sql" || exit
	trap - EXIT
	if [ "$given" ]; then
		printf '%s\n' "$text" >&4
	else
		trap 'kill ${!:+"$!"} && wait $!; exit 3' TERM
		cat <&3 >&4 2>"$session/.stdin" &
		wait $! || check_input || exit 3
	fi
	exec 4>&-
	: >"$session/.sent"
}

# The text was not taken: a statement has failed, or there is no more to read.
# Then half a statement may be left, which must not run.
check_input() {
	[ -s "$session/error" ] && return
	cat "$session/.stdin" >&5
	end_session
	return 1
}

# Ends all there is. The child that sends ends with the session, unless it waits
# for standard input, or the session is out of reach, as the connection has been
# taken away; one that has ended is not to be looked for by its number.
finish() {
	trap '' HUP INT QUIT TERM
	[ "$given" ] || [ -e "$session/.sent" ] || waits=$sender
	end_session || waits=$sender
	for child in $reader $waits; do
		kill "$child"
	done
	[ -z "$reader" ] || wait "$reader"
	[ -z "$sender" ] || wait "$sender"
} 2>/dev/null

stop() {
	finish
	exit 1
}

format=csv
given=
text=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	-f)
		[ $# -gt 1 ] || refuse '-f needs a format'
		format=$2
		shift
		;;
	-f*) format=${1#-f} ;;
	'' | [!-]* | -*[[:space:]]*) # of SQL, a comment may come first
		[ -z "$given" ] || refuse 'more than one argument of SQL'
		given=yes
		text=$1
		;;
	*) refuse "no such option: $1" ;;
	esac
	shift
done
[ $# -eq 0 ] || shift

case $format in
csv | tsv | json | jsonl | txt) ;;
*) refuse "no such format: $format" ;;
esac

case $0 in
/*/*) dir=${0%/*} ;;
*/*) dir=./${0%/*} ;;
*) dir=. ;;
esac
if [ ! -d "$dir/sessions" ] || [ ! -e "$dir/query.sql" ]; then
	fail "$0 does not stand in the directory of a connection (a link to sql, or
a copy of it, does not work): call it there, as /conn/NAME/sql"
fi

name=sql-@ID@-$$
session=$dir/sessions/$name
sender=
reader=
waits=
trap stop HUP INT QUIT TERM
echo "$name" >"$dir/sessions/.sql" || fail "cannot make $session"

if [ $# -gt 0 ]; then
	{ send_params "$@" >"$session/params.json"; } 2>/dev/null
	if [ -s "$session/error" ]; then
		cat "$session/error" >&2
		stop
	fi
fi

if [ "$given" ]; then
	send 2>/dev/null &
else
	command exec 3<&0 || stop
	send 5>&2 2>/dev/null &
fi
sender=$!
n=1
while
	result=$session/results/$n.$format
	cat "$result" 2>/dev/null 2>"$session/.cat" 3<&- &
	reader=$!
	wait "$reader"
	code=$?
	reader=
	[ "$code" -eq 0 ]
do
	n=$((n + 1))
done

status=1
if [ "$code" -gt 128 ]; then
	: # nobody wants more
elif [ -s "$session/error" ]; then
	cat "$session/error" >&2
elif [ -e "$result" ]; then
	cat "$session/.cat" >&2
elif [ -e "$session/query.sql" ]; then
	status=0
else
	wait "$sender"
	[ $? -eq 3 ] || printf 'sql: the session has ended\n' >&2
fi
finish
exit $status
