"""A small real-world data set that ships with seqfeat, for examples and tests."""

from seqfeat.datasets.japanese_vowels import load_japanese_vowels

__all__ = ["load_japanese_vowels"]
