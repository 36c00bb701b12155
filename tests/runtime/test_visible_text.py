"""Fault 50: characters that steer a terminal, or that nobody sees."""

import pytest

from seqfeat.runtime.visible_text import escape_controls

EVIL = "a\x1b[31m\u202eb\u2066\x07\x9b\u200b\ud800"
ESCAPED = r"a\x1b[31m\u202eb\u2066\x07\x9b\u200b\ud800"


@pytest.mark.parametrize(
    "text", ["plain", "Häuser, 家, ¿", "a\u3000b\xa0c", "a\u0301", "\U0001f600"]
)
def test_text_that_can_be_seen_stays(text):
    assert escape_controls(text) == text


def test_fault_50_controls_and_changes_of_direction_are_escaped():
    for code in [*range(32), *range(0x7F, 0xA0), 0x85, 0xAD, 0x61C, *range(0x200B, 0x2010)]:
        assert chr(code) not in escape_controls(f"a{chr(code)}b")
    for code in [*range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF, 0xE0001]:
        assert chr(code) not in escape_controls(f"a{chr(code)}b")
    assert escape_controls(EVIL) == ESCAPED
    assert escape_controls("a\nb\tc", keep="\n") == "a\nb\\tc"
