"""What `seqfeat.cluster.transform` accepts."""

import dask.array as da
import pytest

from seqfeat import InputError, cluster
from seqfeat.exceptions import InputTypeError


def test_data_in_memory_is_an_error_that_names_the_alternatives(waves, autoencoder):
    with pytest.raises(InputTypeError, match=r"numpy\.ndarray.*model\.transform.*from_array"):
        cluster.transform(autoencoder, waves)


def test_arguments_for_long_tables_are_an_error_with_an_array(waves, autoencoder):
    array = da.from_array(waves)
    with pytest.raises(InputError, match="series_id='meter' only applies to long tables"):
        cluster.transform(autoencoder, array, series_id="meter")
    with pytest.raises(InputError, match="step='1h' only applies to long tables"):
        cluster.transform(autoencoder, array, step="1h")
