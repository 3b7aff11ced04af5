"""Models to evaluate: the `conscience/NAME` provider, checkpoint cards, the embedded base and the recorded teacher.

Imports no torch until a local model is loaded.
"""
