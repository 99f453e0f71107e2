@echo off
rem Finds a Python that can run the installer and hands over to it. Everything else is in installer\.
setlocal
rem Files are named from where the user is.
set "MILLRACE_CALLED_FROM=%CD%"
set "PYTHONUTF8=1"
cd /d "%~dp0"

set "CHECK=import sys; sys.exit(sys.version_info < (3, 10))"
set "PYTHON="
for %%C in ("py -3" "python" "python3") do (
    if not defined PYTHON (
        %%~C -c "%CHECK%" >nul 2>&1 && set "PYTHON=%%~C"
    )
)

if not defined PYTHON (
    echo Millrace needs Python 3.10 or newer, and none was found.
    echo Install it with   winget install Python.Python.3.12   or from python.org, then run this again.
    exit /b 1
)

%PYTHON% -m installer %*
exit /b %ERRORLEVEL%
