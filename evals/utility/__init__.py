"""Utility: what a model still knows. MedQA (4 options), and `clinical_basics`, an easy set that needs no download."""
