@echo off
rem Installs the LlamaChat module.
rem
rem   Called by a server's setup script ("install.bat install"): the setup makes the Python environment and
rem   installs the requirements file itself; this script only looks whether the model is there.
rem   By hand (modules\LlamaChat\install.bat): makes the module's environment in venv. The server of this
rem   repository does that by itself: normally you need not run this.

setlocal
set "here=%~dp0"
if /i "%~1"=="install" goto check
if /i "%~1"=="--model" goto model

echo LlamaChat: making %here%venv. Building llama.cpp can take some minutes.
py -3 -m venv "%here%venv" || exit /b 1
"%here%venv\Scripts\python.exe" -m pip install --disable-pip-version-check -r "%here%requirements.txt"
if errorlevel 1 (
    echo LlamaChat: the installation failed. llama.cpp needs a C and C++ compiler where there is no prebuilt wheel. 1>&2
    exit /b 1
)

:check
if exist "%here%models\millrace-tiny.gguf" (
    echo LlamaChat: the built-in model is here.
    exit /b 0
)
rem No error: another model may be configured, and without any the module says so itself.
echo LlamaChat: models\millrace-tiny.gguf is missing. Get it with git checkout or from the package. 1>&2
exit /b 0

:model
set "python=%here%..\..\data\environments\LlamaChat\Scripts\python.exe"
if not exist "%python%" set "python=%here%venv\Scripts\python.exe"
if not exist "%python%" (
    echo LlamaChat: install the module first: install.bat 1>&2
    exit /b 1
)
"%python%" "%here%download_model.py" %2 %3 %4 %5 %6
exit /b %errorlevel%
