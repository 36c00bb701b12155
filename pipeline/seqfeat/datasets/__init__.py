"""A small real data set that ships with seqfeat, for trying things out and for tests."""

from seqfeat.datasets.japanese_vowels import load_japanese_vowels

__all__ = ["load_japanese_vowels"]
