#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Load and unload: rmmod is refused while a descriptor or a mapping lives, both
# of the module and of a driver; afterwards it works, over and over, and leaves
# nothing behind. 10 rounds, 100 with SWAPVMA_LONG=1.

DIR="$(dirname "$(readlink -f "$0")")"
KO_DIR="${SWAPVMA_KO_DIR:-$DIR}"
HOLD="$DIR/hold"
DEBUG=/sys/kernel/debug/swapvma
FIFO=/tmp/swapvma-hold.$$
KUNIT=/sys/module/kunit/parameters/filter_glob

for helpers in "$DIR/../kselftest/ktap_helpers.sh" \
	       "${KSRC:-.}/tools/testing/selftests/kselftest/ktap_helpers.sh"; do
	if [ -r "$helpers" ]; then
		# shellcheck source=/dev/null
		. "$helpers"
		break
	fi
done

rounds=10
[ "$SWAPVMA_LONG" = 1 ] && rounds=100

# is_loaded <module>
is_loaded()
{
	[ -d "/sys/module/$1" ]
}

# load <module>: from KO_DIR
load()
{
	is_loaded "$1" || insmod "$KO_DIR/$1.ko"
}

# unload <module>: within ten seconds, because the last put may still be on its way
unload()
{
	is_loaded "$1" || return 0
	tries=100
	until rmmod "$1" 2>/dev/null; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# refused <module>: rmmod fails and says that it is in use
refused()
{
	message=$(LC_ALL=C rmmod "$1" 2>&1) && return 1
	case "$message" in
	*"in use"*|*"Resource temporarily unavailable"*|*"Device or resource busy"*)
		is_loaded "$1" ;;
	*)
		ktap_print_msg "rmmod $1: $message"
		return 1 ;;
	esac
}

# all_zero: nothing exists
all_zero()
{
	zeroes=0
	while read -r name value; do
		case "$name" in
		regions|records|resident_pages|batches|table_bytes)
			if [ "$value" != 0 ]; then
				ktap_print_msg "$name is '$value'"
				return 1
			fi
			zeroes=$((zeroes + 1)) ;;
		esac
	done <$DEBUG/stats
	[ $zeroes = 5 ]
}

# hold <what> <driver>: a process that holds a descriptor or a mapping until let_go
hold()
{
	mkfifo "$FIFO"
	"$HOLD" "$1" "$2" <"$FIFO" &
	holder=$!
	exec 9>"$FIFO"
	tries=100
	until [ -e "$FIFO.ready" ]; do
		tries=$((tries - 1))
		if [ $tries -eq 0 ] || ! kill -0 $holder 2>/dev/null; then
			ktap_print_msg "the process that holds a $1 does not start"
			return 1
		fi
		sleep 0.1
	done
}

let_go()
{
	exec 9>&-
	wait "$holder"
	status=$?
	rm -f "$FIFO" "$FIFO.ready"
	return $status
}

# refused_while <what> <driver> <module>: and works afterwards, with no trace left
refused_while()
{
	load swapvma && load swapvma_test || return 1
	export SWAPVMA_READY="$FIFO.ready"
	hold "$1" "$2" && refused "$3"
	verdict=$?
	let_go || verdict=1
	unload swapvma_test || verdict=1
	all_zero || verdict=1
	unload swapvma || verdict=1
	return $verdict
}

# A driver that is registered holds the module.
refused_while_driver_is_loaded()
{
	load swapvma && load swapvma_test && refused swapvma
}

# Loading the same driver twice, or swapvma_test without swapvma, fails cleanly.
refused_twice()
{
	load swapvma && load swapvma_test || return 1
	insmod "$KO_DIR/swapvma_test.ko" 2>/dev/null && return 1
	unload swapvma_test && unload swapvma || return 1
	insmod "$KO_DIR/swapvma_test.ko" 2>/dev/null && return 1
	! is_loaded swapvma_test
}

# With traffic in between: regions that were filled, paged out and read back.
rounds_of_loading()
{
	unload swapvma_test && unload swapvma && "$HOLD" rounds "$rounds" || return 1
	! grep -q '^swapvma/' /proc/[0-9]*/comm 2>/dev/null
}

# Device, debugfs directories and slab caches of the modules.
nothing_is_left()
{
	unload swapvma_test && unload swapvma || return 1
	[ ! -e /dev/swapvma ] && [ ! -e $DEBUG ] && [ ! -e "${DEBUG}_test" ] || return 1
	! grep -q swapvma /proc/slabinfo /proc/misc
}

ktap_print_header
if [ "$(id -u)" != 0 ]; then
	ktap_skip_all "needs root"
	exit "$KSFT_SKIP"
fi
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
ktap_set_plan 9

# KUnit runs a module's suites whenever it is loaded; once is enough.
if [ -w "$KUNIT" ]; then
	echo no_suite_of_this_name >"$KUNIT"
	trap 'echo "*" >"$KUNIT"' EXIT
fi

if ! unload swapvma_test || ! unload swapvma; then
	ktap_exit_fail_msg "the modules are in use"
fi

ktap_test_result "rmmod swapvma while the device is open" \
	refused_while device ram swapvma
ktap_test_result "rmmod swapvma while a region is open" \
	refused_while region ram swapvma
ktap_test_result "rmmod swapvma while a region is mapped, its descriptor closed" \
	refused_while mapping ram swapvma
ktap_test_result "rmmod swapvma_test while its region is open" \
	refused_while region test swapvma_test
ktap_test_result "rmmod swapvma_test while its region is mapped, its descriptor closed" \
	refused_while mapping test swapvma_test
ktap_test_result "rmmod swapvma while a driver is registered" \
	refused_while_driver_is_loaded
ktap_test_result "a driver loaded twice, or without the module" refused_twice
ktap_test_result "loaded, used and unloaded $rounds times" rounds_of_loading
ktap_test_result "nothing is left" nothing_is_left

# As found.
load swapvma && load swapvma_test
ktap_finished
