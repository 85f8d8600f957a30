# SPDX-License-Identifier: Apache-2.0
# The directory of servers, to be sourced: choose_cache ROOT sets `cache` and WALFERRY_TEST_CACHE.

# Servers run as an ordinary user when we are root, and that user must get at their programs.
choose_cache() {
    cache=${WALFERRY_TEST_CACHE:-$1/tests/.cache}
    mkdir -p "$cache"
    cache=$(cd "$cache" && pwd)
    if [ "$(id -u)" -eq 0 ] && [ -z "${WALFERRY_TEST_CACHE:-}" ] &&
        ! setpriv --reuid=nobody --regid=nogroup --clear-groups test -x "$cache"; then
        cache=/var/tmp/walferry-test-cache
        mkdir -p "$cache"
    fi
    export WALFERRY_TEST_CACHE=$cache
}
