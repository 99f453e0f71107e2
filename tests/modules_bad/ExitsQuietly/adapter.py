"""Has nothing to do and ends as if all were well."""
