"""Builds character n-grams out of texts: counts, smooths, prunes and writes them. Needs no torch."""
