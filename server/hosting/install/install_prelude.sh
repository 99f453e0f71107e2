# Sourced before a module's own install.sh: the functions such scripts may call. Values come as environment variables.

write() { printf '%s' "$1"; }

writeLine() { printf '%s\n' "$1"; }

quit() { exit "${1:-0}"; }

checkForTool() {
    if command -v "$1" >/dev/null 2>&1; then return 0; fi
    installAptPackages "$1"
}

# Arguments: package names, separated by spaces.
installAptPackages() {
    local missing=() package
    for package in $*; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        moduleInstallErrors="It needs the system packages ${missing[*]}. Install them with this system's package manager."
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        moduleInstallErrors="It needs the system packages ${missing[*]}. Run: sudo apt-get install ${missing[*]}"
        return 1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" </dev/null && return 0
    moduleInstallErrors="The system packages ${missing[*]} could not be installed with apt-get."
    return 1
}

# Arguments: package names, a description, options for pip.
installPythonPackagesByName() {
    [ -n "${2:-}" ] && writeLine "Installing $2"
    if "$uvCommand" pip install --python "$venvPythonCmdPath" $1 ${3:-}; then return 0; fi
    moduleInstallErrors="The Python packages $1 could not be installed."
    return 1
}

# Arguments: folder on the asset server, file, target folder, message.
getFromServer() {
    moduleInstallErrors="It asks for ${1:-}${2:-} from the asset server of another product, which is not used here. \
Get the file yourself and put it into ${moduleDirPath}/${3:-}."
    return 1
}

# Arguments: url of a folder, file, folder to keep the file in, folder to unpack it in, message.
downloadAndExtract() {
    [ -n "${5:-}" ] && writeLine "$5"
    mkdir -p "$3" "$4"
    if [ ! -s "$3/$2" ] && ! curl -fsSL --retry 3 -o "$3/$2.part" "$1/$2"; then
        moduleInstallErrors="$1/$2 could not be downloaded."
        return 1
    fi
    [ -s "$3/$2" ] || mv "$3/$2.part" "$3/$2"
    "$serverPythonCmdPath" -c 'import shutil, sys; shutil.unpack_archive(sys.argv[1], sys.argv[2])' "$3/$2" "$4" && return 0
    moduleInstallErrors="$3/$2 could not be unpacked."
    return 1
}

# Prints -1, 0 or 1.
versionCompare() {
    if [ "$1" = "$2" ]; then echo 0; return 0; fi
    if [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; then echo -1; else echo 1; fi
}

moduleInstallErrors=""
. "$installScriptPath" "$installScriptArgument"
installScriptExitCode=$?
if [ -n "$moduleInstallErrors" ]; then
    echo "error: $moduleInstallErrors"
    exit 1
fi
exit $installScriptExitCode
