"""Installs, tests and starts Millrace. Needs nothing but Python 3.10's standard library.

Run it through ``install.sh`` or ``install.bat``, or as ``python3 -m installer`` in the repository's root.
"""
