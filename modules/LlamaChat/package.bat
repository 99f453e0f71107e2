@echo off
rem Packs the module into <module id>-<version>.zip in this folder: package.bat [module id] [version]
cd /d "%~dp0"
py -3 package.py %*
