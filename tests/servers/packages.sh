# SPDX-License-Identifier: Apache-2.0
# Debian packages, to be sourced: install_packages NAME... installs those that are missing, asks
# nothing and starts no service. Needs root, or sudo without a question.

build_packages=(meson ninja-build pkg-config gcc libc6-dev python3 libpq-dev librdkafka-dev
                libyaml-dev libmicrohttpd-dev)

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

missing_packages() {
    local name state
    for name in "$@"; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null || true)
        [ "$state" = installed ] || printf '%s\n' "$name"
    done
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# A package that brings a service must not start it; what the machine says itself comes first. In a
# shell of its own, whose end takes the policy away in any case.
install_packages() (
    policy=/usr/sbin/policy-rc.d
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || exit 0
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    # Lists of packages may be absent, or too old.
    apt_install "${missing[@]}" || { as_root apt-get update -q && apt_install "${missing[@]}"; }
)
