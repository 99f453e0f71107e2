#!/usr/bin/env bash
# Finds a Python that can run the installer and hands over to it. Everything else is in installer/.
set -euo pipefail

# Files are named from where the user is; the folder's name may be in any script, whatever the locale says.
export MILLRACE_CALLED_FROM="$PWD" PYTHONUTF8=1
cd "$(dirname "${BASH_SOURCE[0]}")"

# A service manager or `env -i` may start us with next to no environment.
export PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}:/usr/local/sbin:/usr/sbin:/sbin"
if [ -z "${HOME:-}" ]; then
    HOME="$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6 || true)"
    export HOME="${HOME:-/tmp}"
fi

find_python() {
    local candidate
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

if ! python="$(find_python)" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "==> No Python 3.10 or newer found; installing it with apt"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && apt-get install -y python3 python3-venv; } </dev/null ||
        echo "    apt could not do it; what it said is above." >&2
    python="$(find_python)" || true
fi

if [ -z "$python" ]; then
    cat >&2 <<'MESSAGE'
Millrace needs Python 3.10 or newer, and none was found in PATH. Install one and run this again:

  Debian, Ubuntu   sudo apt-get install python3 python3-venv
  Fedora           sudo dnf install python3
  macOS            brew install python        (or the installer from python.org)

A distribution whose python3 is older than 3.10 needs a second, newer one, for example python3.12;
it is found by that name.
MESSAGE
    exit 1
fi

exec "$python" -m installer "$@"
