"""Millrace: a local AI server."""

__version__ = "0.1.0"
