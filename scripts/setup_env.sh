# Sourced by the other scripts: makes .venv in the project's folder and installs into it what changed.
# An existing .venv is used as it is, unless it was copied here. PYTHON chooses the interpreter for a new one.

fail() {
    echo "error: $1" >&2
    exit 1
}

supported_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10 python3.9}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.9 to 3.12 is needed: install one, or name it by PYTHON=/path/to/python."
}

make_venv() {
    local python
    python=$(supported_python)
    "$python" -c 'import venv, ensurepip' 2>/dev/null \
        || fail "Python's venv module is missing: apt install python3-venv."
    echo "Making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv || fail "could not make .venv in $PWD."
}

# whether .venv was made in another place: its scripts begin with the path of that place's Python
made_elsewhere() {
    local folder
    folder=$(sed -nE "1,2s@^(#!|'''exec' \"?)(/.*/bin)/python.*@\2@p" .venv/bin/pip 2>/dev/null)
    [ -n "$folder" ] && ! [ "$folder" -ef .venv/bin ]
}

# set_up REQUIREMENTS: afterwards .venv/bin/python has them installed
set_up() {
    command -v "${cc_path:-g++}" >/dev/null \
        || fail "no C++ compiler (${cc_path:-g++}) was found, and Jittor needs one: apt install g++."
    if made_elsewhere; then
        echo "The .venv here was made in another place"
        make_venv
    elif ! .venv/bin/python -c '' 2>/dev/null; then
        make_venv
    fi
    local stamp=.venv/installed-$1 wanted
    wanted=$(cat requirements*.txt pyproject.toml setup.py; pwd)
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Installing $1 into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$1" \
            || fail "pip could not install $1 (its message is above)."
        echo "$wanted" >"$stamp"
    fi
}
