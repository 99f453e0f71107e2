"""Ends before it has connected, as a module with a missing package does."""

import package_that_does_not_exist  # type: ignore[import-not-found]  # noqa: F401
