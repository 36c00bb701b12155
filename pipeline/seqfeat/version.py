"""The version, where both the package and its build find it."""

import re

__all__ = ["__version__", "release"]

__version__ = "0.1.0"


def release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version: 1, 9, 1 of ``"1.9.1rc2"``.

    Raises `ValueError` if it does not begin with two numbers.
    """
    numbers = re.match(r"\d+(\.\d+)+", version)
    if numbers is None:
        raise ValueError(f"{version!r} is no version.")
    return tuple(map(int, numbers[0].split(".")))
