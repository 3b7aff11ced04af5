"""Everything reusable that Inspect runs or reads. Imports no trainer, and no torch until a local model is asked for."""
