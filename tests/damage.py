"""Files with single bits flipped."""


def every_bit(path):
    """Return the position and the number of every bit of a file."""
    return [(position, bit) for position in range(path.stat().st_size) for bit in range(8)]


def a_bit_of_each_byte(path):
    return [(position, position % 8) for position in range(path.stat().st_size)]


def flipped(path, bits):
    """Flip one bit after the other, in place, which is faster than to write the file anew.

    Yields the bit while it is flipped. In the end the file is as it was.
    """
    with path.open("r+b", buffering=0) as file:
        for position, bit in bits:
            file.seek(position)
            intact = file.read(1)
            _write(file, position, bytes([intact[0] ^ 1 << bit]))
            yield position, bit
            _write(file, position, intact)


def _write(file, position, byte):
    file.seek(position)
    file.write(byte)
