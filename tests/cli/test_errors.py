import pandas as pd
import pytest

from seqfeat.cli.errors import UserError, describe_error, rewording_errors, use_option_names
from seqfeat.exceptions import InputError


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("pass missing='mask'", "pass --missing mask"),
        ("pass label=... or series_id=...", "pass --label ... or --id ..."),
        ("pass channels=['a', 'b']", "pass --channels a,b"),
        ("or pass label=None.", "or pass no --label."),
        ("or step=None to take", "or --step none to take"),
        ("pass series_id and time", "pass --id and --time"),
        ("set target_weight=0.", "set --target-weight 0."),
        ("pass from_channels_first(X).", "pass --channels-first."),
        ("the width=5 of it", "the width=5 of it"),
    ],
)
def test_parameters_in_messages_become_options(message, expected):
    assert use_option_names(message) == expected


def test_unexpected_errors_show_their_type():
    assert describe_error(ZeroDivisionError("division by zero")).startswith(
        "division by zero (ZeroDivisionError; pass --debug"
    )
    assert describe_error(MemoryError()) == "not enough memory"
    assert describe_error(OSError(28, "No space left on device", "x")) == (
        "x: No space left on device"
    )


def reworded(message, **options):
    with pytest.raises(UserError) as raised, rewording_errors(pd.Index(["a", "b"]), **options):
        raise InputError(message)
    return str(raised.value)


def test_positions_of_series_become_ids():
    assert reworded("series 1 is empty, series 2 is not") == "series b is empty, series 2 is not"


def test_with_a_model_it_is_too_late_to_set_a_parameter():
    nan = "Input X contains NaN. Pass missing='mask' to read it as missing."
    assert reworded(nan) == (
        "Input X contains NaN. Fill it, or train the model with --missing mask, which reads NaN as "
        "missing."
    )
    assert reworded(nan, has_model=False) == nan
    infinity = "Input X contains infinity. Set it to NaN and pass missing='mask'."
    assert reworded(infinity) == "Input X contains infinity. Replace it."


def test_other_errors_pass_through_unless_a_table_has_other_columns():
    with (
        pytest.raises(ValueError, match="something else") as raised,
        rewording_errors(pd.Index([])),
    ):
        raise ValueError("something else")
    assert not isinstance(raised.value, UserError)
    with pytest.raises(UserError, match="X has 3 features"), rewording_errors(pd.Index([])):
        raise ValueError("X has 3 features, but 2 are expected")
