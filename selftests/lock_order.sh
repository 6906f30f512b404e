#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What the tests that ran before have shown lockdep is what the tables of
# Documentation/locking.rst say. With SWAPVMA_WHOLE=1, all of the suite ran before:
# then nothing that they say is more than was seen. In a guest of scripts/vm, what
# lockdep saw is left on the host for "make lockgraph".

DIR="$(dirname "$(readlink -f "$0")")"

for helpers in "$DIR/../kselftest/ktap_helpers.sh" \
	       "${KSRC:-.}/tools/testing/selftests/kselftest/ktap_helpers.sh"; do
	if [ -r "$helpers" ]; then
		# shellcheck source=/dev/null
		. "$helpers"
		break
	fi
done

# as_documented <copy of /proc/lockdep>
as_documented()
{
	"$DIR/check-lockorder" -v stage="${SWAPVMA_WHOLE:+suite}" "$DIR/locking.rst" "$1" >/tmp/lock-order
	verdict=$?
	while read -r line; do
		ktap_print_msg "$line"
	done </tmp/lock-order
	return $verdict
}

# ktap_test_result splits its arguments at spaces.
lockdep_is_on() { grep -q 'debug_locks: *1$' /proc/lockdep_stats; }

ktap_print_header
if [ ! -r /proc/lockdep ]; then
	ktap_skip_all "the kernel has no CONFIG_PROVE_LOCKING, or this is not root"
	exit "$KSFT_SKIP"
fi
ktap_set_plan 2
copy="${SWAPVMA_SHARE:-/tmp}/lockdep"
cat /proc/lockdep >"$copy"
ktap_test_result "lockdep is on" lockdep_is_on
ktap_test_result "locks and their order are as documented" as_documented "$copy"
ktap_finished
