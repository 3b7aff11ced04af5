"""Inspect tasks, one thin file each: they only assemble what `conscience.evals` holds."""
