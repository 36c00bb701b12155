"""Every command and block of code on the pages of the documentation does what it says."""

import pytest

from tests.doc_pages import BLOCK, PAGES, assert_matches, run_section, sections

SECTIONS = sections()


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_does_what_it_says(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_section(SECTIONS[section])


def test_every_section_shows_something():
    assert {section.partition(":")[0] for section in SECTIONS} == set(PAGES)
    assert sum(section.startswith("your-data:") for section in SECTIONS) >= 12
    for section, text in SECTIONS.items():
        assert BLOCK.search(text), section


def test_text_that_differs_is_noticed():
    with pytest.raises(AssertionError):
        assert_matches("Wrote 3 series", "Wrote 4 ...")
    assert_matches("one\ntwo\nthree", "one\n...\nthree")
