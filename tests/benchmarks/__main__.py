"""All benchmarks: ``make bench``. Prints tables; nothing is asserted."""

from tests.benchmarks import gunpoint, japanese_vowels

if __name__ == "__main__":
    japanese_vowels.main()
    gunpoint.main()
