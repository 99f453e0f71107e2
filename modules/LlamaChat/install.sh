#!/usr/bin/env bash
# Installs the LlamaChat module.
#
#   Sourced by a server's setup script ("install.sh install"): the setup makes the Python environment and
#   installs the requirements file itself; this script only looks whether the model is there.
#   By hand (bash modules/LlamaChat/install.sh): makes the module's environment in ./venv with the requirements
#   file for this machine. The server of this repository does that by itself: normally you need not run this.

llamachat_dir="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

llamachat_check_model() {
    if [ -f "${llamachat_dir}/models/millrace-tiny.gguf" ]; then
        echo "LlamaChat: the built-in model is here. 'bash install.sh --model FILE.gguf' or '--model <owner>/<name>' installs a larger one."
    else
        echo "LlamaChat: models/millrace-tiny.gguf is missing. Get it with 'git checkout' or from the package," >&2
        echo "or install another model: 'bash install.sh --model FILE.gguf' or '--model <owner>/<name>'." >&2
        return 1
    fi
}

llamachat_requirements() {
    if [ "$(uname -s)" = "Darwin" ] && [ "$(uname -m)" = "arm64" ]; then
        echo "requirements.mps.txt"
    elif command -v nvidia-smi > /dev/null 2>&1 && nvidia-smi 2> /dev/null | grep -q "CUDA Version: 12"; then
        echo "requirements.cuda12.txt"
    else
        echo "requirements.txt"
    fi
}

llamachat_install_by_hand() {
    local python="${PYTHON:-python3}" file
    command -v "$python" > /dev/null || { echo "LlamaChat: $python was not found; install Python 3.10 or newer." >&2; return 1; }
    file="$(llamachat_requirements)"
    echo "LlamaChat: making ${llamachat_dir}/venv and installing ${file}. Building llama.cpp can take some minutes."
    "$python" -m venv "${llamachat_dir}/venv" || return 1
    "${llamachat_dir}/venv/bin/python" -m pip install --disable-pip-version-check -r "${llamachat_dir}/${file}" || {
        echo "LlamaChat: the installation failed. llama.cpp needs a C and C++ compiler where there is no prebuilt wheel." >&2
        return 1
    }
}

if [ "${BASH_SOURCE[0]}" != "$0" ]; then
    # No error for the setup script: another model may be configured, and without any the module says so itself.
    llamachat_check_model || true
elif [ "${1:-}" = "--help" ] || [ "${1:-}" = "-h" ]; then
    sed -n '2,8s/^# \{0,1\}//p' "$0"
elif [ "${1:-}" = "--model" ]; then
    python="${llamachat_dir}/../../data/environments/LlamaChat/bin/python"
    [ -x "$python" ] || python="${llamachat_dir}/venv/bin/python"
    [ -x "$python" ] || { echo "LlamaChat: install the module first: bash install.sh" >&2; exit 1; }
    shift
    exec "$python" "${llamachat_dir}/download_model.py" "$@"
else
    llamachat_install_by_hand && llamachat_check_model
fi
