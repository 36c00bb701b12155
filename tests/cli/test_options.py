from seqfeat.cli.models import CLASSIFIERS as ESTIMATORS
from seqfeat.cli.options import (
    CLASSIFIERS,
    comma_separated,
    n_processes,
    parameter,
    positive_integers,
    step,
)


def test_lists_are_split_at_commas():
    assert comma_separated("load, heat,") == ["load", "heat"]
    assert positive_integers("32,8,8") == [8, 32]


def test_a_step_is_auto_none_a_number_or_a_duration():
    assert [step(text) for text in ("auto", "none", "0.5", "15min")] == ["auto", None, 0.5, "15min"]


def test_the_value_of_a_parameter_is_parsed_as_python_or_text():
    assert parameter("scale=none") == ("scale", None)
    assert parameter("bidirectional=True") == ("bidirectional", True)
    assert parameter("dropout=0.5") == ("dropout", 0.5)
    assert parameter("pooling=max") == ("pooling", "max")


def test_processes_may_be_counted_down_from_all_cores():
    assert [n_processes(text) for text in ("2", "-1")] == [2, -1]


def test_the_choices_of_classifiers_are_those_that_can_be_made():
    assert list(CLASSIFIERS) == list(ESTIMATORS)
