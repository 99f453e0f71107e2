"""Side-by-side measurements: each prints a ratio against a named peer that was measured in the same run."""
