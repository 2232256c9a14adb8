# shellcheck shell=bash
# The checkout's own Python environment, .venv: built once, then only looked at.
#
# Sourced by deploy/demo and tests/run, with ROOT set to the checkout. `ensure_venv FILE…` makes sure
# that every requirement file given is installed, hashes checked, wheels only, and that the project can
# be imported. Each file leaves its checksum in .venv/.installed, so a second run costs nothing and an
# edited file is installed again.

PYTHON_NEEDED="3.11"

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# A Python that is new enough; PYTHON names another one.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
        # Asked to run, not looked up: some version switchers put a name on the path that does not work.
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "Python $PYTHON_NEEDED or later is missing." \
        "On Debian or Ubuntu: apt-get install python3 python3-venv; elsewhere: https://www.python.org/downloads/"
}

# A checkout that was moved has an environment that still points to the old place.
is_usable_venv() {
    (cd / && "$ROOT/.venv/bin/python" - "$ROOT") 2>/dev/null <<'EOF'
import sys
from importlib.util import find_spec

project = find_spec("connector")
here = project is not None and project.origin.startswith(sys.argv[1] + "/")
sys.exit(not (here and find_spec("pip") and sys.version_info >= (3, 11)))
EOF
}

create_venv() {
    local python package
    python="$(find_python)" || exit 1
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
        die "$python cannot make environments. On Debian or Ubuntu: apt-get install $package"
    fi
    say "Building .venv with $("$python" --version) …"
    discard_venv
    mkdir -p "$ROOT/.venv/.installed"
    "$python" -m venv "$ROOT/.venv" || die "The environment could not be built in $ROOT/.venv"
    link_project
}

# Only what was built here is thrown away: the folder may hold somebody's own environment.
discard_venv() {
    if [[ -e "$ROOT/.venv" && ! -d "$ROOT/.venv/.installed" ]]; then
        die "$ROOT/.venv is not usable and was not built by this script: move it away, then run this again"
    fi
    rm -rf "$ROOT/.venv"
}

# Makes `import connector` and the command webhook-connector work from anywhere in this environment.
link_project() {
    local site
    site="$("$ROOT/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    printf '%s\n' "$ROOT" >"$site/webhook_connector_checkout.pth"
    # Not Python itself after the #!, which allows no blank in a path; -P: not what lies in the
    # folder somebody happens to stand in.
    cat >"$ROOT/.venv/bin/webhook-connector" <<'EOF'
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m connector "$@"
EOF
    chmod +x "$ROOT/.venv/bin/webhook-connector"
}

checksum() { "$ROOT/.venv/bin/python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; }

install_requirements() {
    local file="$1" sum marker
    sum="$(checksum "$ROOT/$file")"
    marker="$ROOT/.venv/.installed/${file//\//-}"
    if [[ -f "$marker" && "$(<"$marker")" == "$sum" ]]; then
        return
    fi
    say "Installing $file …"
    "$ROOT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --only-binary :all: --requirement "$ROOT/$file" \
        || die "Installing $file failed: see above. Is the package index reachable?"
    printf '%s' "$sum" >"$marker"
}

ensure_venv() {
    local file
    # Two runs at once must not build into one folder; without flock they are on their own.
    exec 9<"$ROOT"
    if command -v flock >/dev/null; then
        flock 9
    fi
    is_usable_venv || create_venv
    mkdir -p "$ROOT/.venv/.installed"
    for file in "$@"; do
        install_requirements "$file"
    done
    exec 9<&-
}
