import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from seqfeat import LSTMAutoencoder
from seqfeat.adapters.capabilities import Capabilities


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (False, False)),
        ({"missing": "mask"}, (False, True)),
        ({"target_weight": 0.5}, (True, False)),
    ],
)
def test_capabilities_follow_from_the_parameters(params, expected):
    assert Capabilities.of(LSTMAutoencoder(**params), "Adapter") == expected


def test_anything_but_an_autoencoder_is_an_error():
    message = r"'autoencoder' parameter of Adapter must .*'LSTMAutoencoder'. Got StandardScaler"
    with pytest.raises(InvalidParameterError, match=message):
        Capabilities.of(StandardScaler(), "Adapter")
