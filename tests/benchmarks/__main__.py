"""All benchmarks: ``make bench``. Prints tables; nothing is asserted."""

from tests.benchmarks import gunpoint, japanese_vowels, onnx_transform

if __name__ == "__main__":
    japanese_vowels.main()
    gunpoint.main()
    onnx_transform.main()
