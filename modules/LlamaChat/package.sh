#!/usr/bin/env bash
# Packs the module into <module id>-<version>.zip in this folder: bash package.sh [module id] [version]
cd "$(dirname "${BASH_SOURCE[0]}")" && exec "${PYTHON:-python3}" package.py "$@"
