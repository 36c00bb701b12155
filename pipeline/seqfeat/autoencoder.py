"""`LSTMAutoencoder`, the transformer: series in, one embedding per series out.

`fit` reads from top to bottom: parameters, series, the facts that processes share, a plan, its
result, and the learned attributes. The rest is in `seqfeat.training` and `seqfeat.inference`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from seqfeat.exceptions import InputError
from seqfeat.inference.batched import embed
from seqfeat.inference.consistency import check_consistent
from seqfeat.inference.decoding import check_finite
from seqfeat.inference.fitted import (
    check_fitted,
    fitted_backend,
    fitted_scaling,
    fitted_target_scaling,
    output_dtype,
    validate_series,
)
from seqfeat.inference.fitted_rows import remember_rows
from seqfeat.inference.pretrained import PretrainedMixin, open_pretrained
from seqfeat.inference.reconstruction import ReconstructionMixin
from seqfeat.inference.timesteps import timestep_states
from seqfeat.nn.network import Architecture
from seqfeat.runtime.checked_state import CheckedStateMixin
from seqfeat.runtime.float_errors import without_float_errors
from seqfeat.runtime.ranks import current_ranks
from seqfeat.series.arrays import reusable, warn_if_transposed
from seqfeat.series.conversion import as_series
from seqfeat.series.series import Series
from seqfeat.sklearn_compat import CallbackSupportMixin, output_container, with_callbacks
from seqfeat.training.fit import run_fit, warn_about
from seqfeat.training.learned_attributes import (
    describes_input,
    input_attributes,
    is_learned,
    planned_attributes,
    stream_attributes,
    trained_attributes,
)
from seqfeat.training.parameters import PARAMETER_CONSTRAINTS, FitParameters, needs_labels
from seqfeat.training.plan import EarlierFit, Plan, plan_epoch, plan_fit, share_facts
from seqfeat.training.progress import EpochReporter

__all__ = ["LSTMAutoencoder"]

Floats = NDArray[np.floating[Any]]


def _supports_partial_fit(estimator: Any) -> bool:
    """Tell whether there is a `partial_fit`; scikit-learn looks for it with `hasattr`."""
    # An invalid value is reported with all others.
    if isinstance(estimator.early_stopping, (bool, np.bool_)) and estimator.early_stopping:
        raise ValueError("partial_fit does not support early_stopping=True: a stream has no end.")
    return True


class LSTMAutoencoder(
    ClassNamePrefixFeaturesOutMixin,
    CallbackSupportMixin,
    CheckedStateMixin,
    PretrainedMixin,
    ReconstructionMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Turn each time series into a vector with an LSTM autoencoder.

    An encoder reads a series step by step and summarizes it in one embedding, a decoder
    reconstructs the series from that embedding alone [1]_ [2]_, and the two are trained together
    on unlabelled series. `transform` returns the embeddings. The embedding of a series depends on
    that series alone, not on padding, the batch size or the rest of its batch.

    With the default `pooling`, the encoder is a reservoir, LSTM layers with random weights whose
    states are summarized finely [9]_ [10]_; what is fitted is which numbers make up the embedding,
    and how the decoder turns them back into series. Every series is then encoded once, and an epoch
    costs no more than the decoder.

    Training time is linear in ``max_iter``, the number of series and their length. Memory is that
    of a batch plus some 200 MB and the embeddings, whatever the size of `X`: a set larger than
    64 MiB as float32 is read and scaled in chunks of that size, made of shuffled blocks.
    `transform` needs the memory of one batch per thread in addition to its input and output.

    Parameters
    ----------
    embedding_dim : int or None, default=64
        Length of the embedding. None, for a reservoir, keeps all of its statistics, 3,456 by
        default, after 64 numbers that reconstruct the series: linear classifiers are a little
        better with them. Scale them before you use them.
    hidden_dim : int, default=None
        Width of the decoder's last LSTM layer, and of the encoder's first one or, with a
        reservoir, of each of its layers. None is 96 with a reservoir, else ``2 * embedding_dim``.
    patch_len : int or "auto", default="auto"
        Consecutive timesteps that the decoder reconstructs in one step [3]_. A decoder driven by a
        single vector learns no more than a few dozen steps; ``"auto"`` gives the longest training
        series at most 32.
    window_len : int or "auto", default="auto"
        Consecutive timesteps that the encoder reads in one step. A reservoir has layers that read
        about half as many and twice as many, too. ``"auto"`` is 16, or a sixth of a short series;
        with other poolings than ``"reservoir"`` and ``"statistics"``, `patch_len`.
    window_stride : int or "auto", default="auto"
        Timesteps from one window to the next, at most `window_len`. ``"auto"`` is the smallest
        stride that needs at most 512 steps with ``"reservoir"``, 128 with ``"statistics"``, and
        `window_len` with other poolings.
    n_time_features : int, default=16
        Number of cosines of the position that the decoder gets in addition to the embedding, so
        that it need not count steps. With 0 it gets the embedding alone.
    bidirectional : bool, default=False
        Whether the encoder also reads each series backwards, which takes about twice the time. Not
        with a reservoir.
    pooling : {"reservoir", "statistics", "last", "mean", "max"}, default="reservoir"
        How series become embeddings. ``"reservoir"`` runs random LSTM layers over the scaled series
        and over the series scaled by its own mean and standard deviation, takes the mean, standard
        deviation, maximum and minimum of each unit, the share of the steps at which it is above a
        threshold and the longest stretch of them, and projects these, standardized, on their
        principal components. The encoder is not trained. With all others it is: ``"statistics"``
        projects the first four statistics of two layers [8]_; the projection is initialized with
        their principal components over the training series, and the encoder trains at a tenth of
        the learning rate. ``"last"``, ``"mean"`` and ``"max"`` take the second layer's last output,
        or the mean or maximum of its outputs, and start from random weights.
    dropout : float in [0, 1), default=0.0
        Fraction of units dropped between LSTM layers during training, the same units at every step
        of a series [4]_.
    scale : {"channel", None}, default="channel"
        ``"channel"`` subtracts each channel's mean over the training set and divides by its
        standard deviation, in float64. None leaves the values as they are.
    missing : {"error", "mask"}, default="error"
        What to do about NaN in the input. ``"error"`` raises an error. ``"mask"`` takes NaN at the
        end of a series as padding, and any other NaN as a missing value, which the scaling and the
        loss ignore and for which the encoder reads the channel's mean.
    masking_ratio : float in [0, 1), default=0.0
        Fraction of patches hidden from the encoder, but not from the loss, during training. Not
        with a reservoir.
    input_noise : float, default=0.0
        Standard deviation, in scaled units, of noise added to the encoder's input during training
        [5]_. With ``pooling="max"``, 0.6 improves the features. Not with a reservoir.
    target_weight : float in [0, 1), default=0.0
        How much labels count. Above 0, `fit` needs labels. With a reservoir, each statistic is
        weighted by the share of its variance that is between classes, plus 0.1, to this power;
        otherwise this is the weight of a classification head's loss relative to the reconstruction
        loss.
    target_type : {"auto", "continuous", "multiclass"}, default="auto"
        What labels are, if `target_weight` counts them. ``"auto"`` takes floats with a fractional
        part as numbers, and all others, including integers, as classes. Numbers are standardized;
        several for each series are columns of `y`.
    class_weight : dict, "balanced" or None, default=None
        Factor of each class in what labels decide, as in scikit-learn's classifiers: in the loss
        of the head, or in the weights of a reservoir's statistics. ``"balanced"`` lets all classes
        count the same.
    reconstruction_fraction : float in [0, 1], default=0.2
        Fraction of the embedding's dimensions that are for reconstructing the series, with a
        reservoir. The others are for telling them apart. With 1 the reconstruction is about as good
        as that of as many principal components of the series, or better if there are few series;
        with 0 the accuracy of classifiers is highest.
    max_iter : int or "auto", default="auto"
        Maximum number of epochs. 0 keeps the initial weights, as a baseline for training.
        ``"auto"`` is 60, and with a reservoir as many as 1500 updates take, but at least 4 and at
        most 30; 0 for fewer than 20 series.
    batch_size : int or "auto", default="auto"
        Series per weight update. ``"auto"`` is an eighth of the number of series or twice its
        square root, whichever is smaller, but at least 8 and at most 256.
    learning_rate_init : float, default=0.005
        Peak learning rate of AdamW [6]_. The rate rises to the peak over the first fifth of the
        updates and then falls to 0, along a cosine [7]_.
    weight_decay : float, default=0.01
        Decoupled weight decay of AdamW.
    early_stopping : bool or "auto", default="auto"
        Whether to hold out a validation set, monitor its loss instead of the training loss, and
        stop when it no longer falls. ``"auto"`` does so with a reservoir if there are at least 20
        series; the decoder then keeps its initial weights unless others are better on that set.
        A reservoir and the linear maps are fitted to all series.
    validation_fraction : float in (0, 1), default=0.1
        Fraction of the series held out with ``early_stopping``; at least one series.
    n_iter_no_change : int, default=20
        Training stops after this many epochs in which the monitored loss has not improved by
        `tol`. Epochs before the peak of the learning rate do not count.
    tol : float, default=1e-4
        Smallest improvement that counts.
    contamination : float in (0, 0.5] or None, default=None
        Share of the training series, and of their timesteps, that `anomaly_threshold_` and
        `timestep_threshold_` take as anomalous. None sets no thresholds, and saves the pass over
        the training series that finds them.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the previous fit.
    init : LSTMAutoencoder, Pipeline, search or None, default=None
        A fitted model, such as one that was trained on many more series without labels, whose
        scaling and encoder `fit` starts from. Its series have the same channels; lengths and
        classes may differ. ``embedding_dim`` has to be that of the model, and dimensions that are
        ``"auto"`` or None become its own. A trained encoder goes on training; a reservoir keeps its
        components unless ``target_weight`` weights them, and what reconstructs is fitted again if
        the longest series differ. From series of the same kind, few new ones are reconstructed
        better; from another data set, classifiers are worse than without. Clones share the model,
        and pickles hold a copy.
    random_state : int, RandomState instance or None, default=None
        Seed of weights, batches, noise and validation split. On one kind of CPU, with the same
        versions, a seed gives the same weights, bit for bit, whatever the number of threads.
        Global random states are never touched.
    device : str, default="auto"
        ``"auto"`` uses CUDA, XPU or MPS if PyTorch finds it, and the CPU otherwise; or a name such
        as ``"cpu"`` or ``"cuda:1"``. seqfeat has never been run on XPU or MPS, and warns of them.
    verbose : int or bool, default=0
        Whether to print the loss of each epoch. For a progress bar, pass `set_callbacks` the one of
        `sklearn.callback`, or before scikit-learn 1.9 of `seqfeat.sklearn_compat`.
    checkpoint_dir : str or path, default=None
        Directory for checkpoints. If `fit` is killed, the same call, with the same series and
        parameters, resumes from the last one, and on a CPU the result is bit-identical to that of
        an uninterrupted fit. Every fit has a subdirectory of its own, which you may delete.
    checkpoint_every : int, default=1
        Epochs from one checkpoint to the next; the last two are kept.

    Attributes
    ----------
    weights_ : dict of str to ndarray
        The network's weights from the epoch with the lowest monitored loss, float32, on the CPU.
    architecture_ : dict
        The dimensions that rebuild the network from `weights_`.
    embedding_dim_, hidden_dim_, patch_len_, window_len_, window_stride_ : int
        The resolved values of the parameters of the same names.
    n_channels_in_, n_timesteps_in_ : int
        Number of channels, and of timesteps of the longest training series.
    n_features_in_ : int
        Number of columns, if `fit` saw a table; for series with channels, number of channels.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if `fit` saw a DataFrame, or a list of them, whose column names are
        all strings.
    is_table_ : bool
        Whether `fit` saw a table, (n_samples, n_timesteps).
    n_observed_, mean_, std_, scale_ : ndarray of shape (n_channels_in_,)
        Number of observed values, their mean and standard deviation, and the divisor: the standard
        deviation, or 1 for a constant channel.
    loss_curve_ : list of float
        Training loss of each epoch, with noise and masks: the mean squared error over observed
        values, in scaled units, plus the loss of the classification head if there is one.
    validation_loss_curve_ : list of float or None
        The same on the validation set, without noise and masks.
    n_iter_, best_iter_ : int
        Number of epochs trained, and the epoch whose weights were kept, counted from 1; 0 if these
        are the initial ones.
    best_score_ : float
        R squared of the reconstruction with those weights, on the validation set if there is one
        and on the training set otherwise; see `score`.
    classes_ : ndarray of shape (n_classes,)
        The classes, if ``target_weight > 0`` and labels are classes.
    target_mean_, target_scale_ : ndarray of shape (n_targets,)
        Mean and divisor of the numbers, if ``target_weight > 0`` and labels are numbers.
    anomaly_threshold_, timestep_threshold_ : float
        With `contamination`, the scores of `score_samples` and `score_timesteps` below which that
        share of the training series, and of their timesteps, lies.

    See Also
    --------
    make_classifier : A pipeline of this transformer and a classifier.
    sklearn.decomposition.PCA : The linear counterpart, for series of one length.

    Notes
    -----
    With ``pooling="last", patch_len=1, n_time_features=0`` the network is the plain LSTM
    autoencoder: encoder LSTMs n_channels -> 2E -> E, whose last state is the embedding, and
    decoder LSTMs E -> E -> 2E, fed the embedding at each step, followed by a linear map.

    A better reconstruction does not imply a higher accuracy: if you have labels, compare settings
    by the score of the whole pipeline.

    Left out on purpose: packed sequences, which are slow and unnecessary, because padding cannot
    reach the earlier states of a forward LSTM; and teacher forcing, which would let the decoder do
    without the embedding.

    References
    ----------
    .. [1] N. Srivastava, E. Mansimov and R. Salakhutdinov (2015). "Unsupervised learning of video
       representations using LSTMs". ICML.
    .. [2] P. Malhotra et al. (2017). "TimeNet: pre-trained deep recurrent neural network for time
       series classification". ESANN.
    .. [3] Y. Nie et al. (2023). "A time series is worth 64 words: long-term forecasting with
       transformers". ICLR.
    .. [4] Y. Gal and Z. Ghahramani (2016). "A theoretically grounded application of dropout in
       recurrent neural networks". NeurIPS.
    .. [5] P. Vincent et al. (2008). "Extracting and composing robust features with denoising
       autoencoders". ICML.
    .. [6] I. Loshchilov and F. Hutter (2019). "Decoupled weight decay regularization". ICLR.
    .. [7] L. N. Smith and N. Topin (2018). "Super-convergence: very fast training of neural
       networks using large learning rates". arXiv:1708.07120.
    .. [8] D. Snyder et al. (2018). "X-vectors: robust DNN embeddings for speaker recognition".
       ICASSP.
    .. [9] H. Jaeger (2001). "The echo state approach to analysing and training recurrent neural
       networks". GMD Report 148.
    .. [10] A. Dempster, D. F. Schmidt and G. I. Webb (2021). "MiniRocket: a very fast (almost)
       deterministic transform for time series classification". KDD.

    Examples
    --------
    >>> import numpy as np
    >>> from seqfeat import LSTMAutoencoder
    >>> phase = np.linspace(0, 6, 40)[:, None]
    >>> X = np.sin(phase + np.arange(50)[None] / 5).T[:, :, None]
    >>> autoencoder = LSTMAutoencoder(embedding_dim=8, max_iter=80, random_state=0)
    >>> autoencoder.fit_transform(X).shape
    (50, 8)
    >>> autoencoder.score(X) > 0.9
    True
    """

    _parameter_constraints = PARAMETER_CONSTRAINTS
    _check_learned = check_consistent

    def __init__(
        self,
        embedding_dim: int | None = 64,
        *,
        hidden_dim: int | None = None,
        patch_len: int | str = "auto",
        window_len: int | str = "auto",
        window_stride: int | str = "auto",
        n_time_features: int = 16,
        bidirectional: bool = False,
        pooling: str = "reservoir",
        dropout: float = 0.0,
        scale: str | None = "channel",
        missing: str = "error",
        masking_ratio: float = 0.0,
        input_noise: float = 0.0,
        target_weight: float = 0.0,
        target_type: str = "auto",
        class_weight: Mapping[Any, float] | str | None = None,
        reconstruction_fraction: float = 0.2,
        max_iter: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_init: float = 5e-3,
        weight_decay: float = 0.01,
        early_stopping: bool | str = "auto",
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 1e-4,
        contamination: float | None = None,
        warm_start: bool = False,
        init: Any = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "auto",
        verbose: int | bool = 0,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
    ) -> None:
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.patch_len = patch_len
        self.window_len = window_len
        self.window_stride = window_stride
        self.n_time_features = n_time_features
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.dropout = dropout
        self.scale = scale
        self.missing = missing
        self.masking_ratio = masking_ratio
        self.input_noise = input_noise
        self.target_weight = target_weight
        self.target_type = target_type
        self.class_weight = class_weight
        self.reconstruction_fraction = reconstruction_fraction
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.contamination = contamination
        self.warm_start = warm_start
        self.init = init
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every

    # Training

    @with_callbacks  # type: ignore[untyped-decorator]
    @without_float_errors
    def fit(
        self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train the autoencoder. If that fails, an earlier fit stays intact.

        Parameters
        ----------
        X : array-like
            Series, (n_samples, n_timesteps, n_channels); a table, (n_samples, n_timesteps); or a
            list of n_samples arrays, (n_timesteps_i, n_channels) or (n_timesteps_i,).
        y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
            Class labels or numbers; ignored unless ``target_weight > 0``.
        sample_weight : array-like of shape (n_samples,), default=None
            How much each series counts, in the scaling, in what is fitted and in the loss. A weight
            of 2 stands for two such series, and one of 0 for none.

        Returns
        -------
        self : LSTMAutoencoder

        Raises
        ------
        InvalidParameterError
            If a parameter is out of range.
        InputError
            If `X` cannot be used, see `seqfeat.series.as_series`; or if the model of `init` is not
            fitted, or was fitted with other channels or dimensions.
        DeviceError
            If there is no such `device`.
        TrainingError
            If the loss was not finite in the first epoch, and there are no fitted weights to keep.

        Warns
        -----
        ConvergenceWarning
            If training diverged or was interrupted, and earlier weights were kept; if the
            reconstruction explains next to nothing; or if all embeddings are the same.
        LayoutWarning
            If there are more channels than timesteps.
        """
        parameters = self._checked_parameters()
        earlier = self._earlier_fit() if parameters.warm_start else None
        convert = partial(_training_series, X, parameters)
        facts = share_facts(convert, y, sample_weight, parameters, current_ranks())
        plan = plan_fit(parameters, facts, earlier)
        attributes = input_attributes(X, facts.series, facts.shard.n_timesteps)
        return self._run(plan, attributes, X, y)

    @available_if(_supports_partial_fit)  # type: ignore[untyped-decorator]
    @with_callbacks  # type: ignore[untyped-decorator]
    @without_float_errors
    def partial_fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Update scaling and weights in one epoch over the next part of a stream.

        The first call builds the network; later calls continue from there. Means and standard
        deviations are merged exactly, as in `~sklearn.preprocessing.StandardScaler`. The learning
        rate is constant, a fifth of ``learning_rate_init``, because a stream has no known end.

        Parameters
        ----------
        X : array-like
            Series, as in `fit`.
        y : array-like of shape (n_samples,), default=None
            Class labels; ignored unless ``target_weight > 0``.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur. If None, the first call must contain every class.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        self : LSTMAutoencoder
        """
        parameters = self._checked_parameters()
        earlier = self._earlier_fit()
        if parameters.class_weight == "balanced":
            raise InputError(
                "class_weight='balanced' needs to know how often each class will occur, which "
                "partial_fit does not. Set class_weight to a dict of factors, or to None."
            )
        convert = partial(_training_series, X, parameters)
        if earlier is not None:
            convert = partial(validate_series, self, X)
        facts = share_facts(
            convert,
            y,
            sample_weight,
            parameters,
            current_ranks(),
            earlier=earlier,
            classes=classes,
        )
        plan = plan_epoch(parameters, facts, earlier)
        n_timesteps = facts.shard.n_timesteps
        if earlier is None:
            attributes = input_attributes(X, facts.series, n_timesteps)
        else:
            attributes = {name: vars(self)[name] for name in vars(self) if describes_input(name)}
            attributes["n_timesteps_in_"] = max(self.n_timesteps_in_, n_timesteps)
        return self._run(plan, attributes, X, y, is_stream=True)

    def _checked_parameters(self) -> FitParameters:
        """Validate the parameters, and return them as a frozen record."""
        self._validate_params()
        parameters = {name: getattr(self, name) for name in PARAMETER_CONSTRAINTS}
        return FitParameters(**{**parameters, "init": open_pretrained(self.init, LSTMAutoencoder)})

    def _earlier_fit(self) -> EarlierFit | None:
        """Return what this estimator has learned, if it is fitted."""
        if not hasattr(self, "weights_"):
            return None
        return EarlierFit(
            Architecture(**self.architecture_),
            self.weights_,
            fitted_scaling(self),
            getattr(self, "classes_", None),
            fitted_target_scaling(self),
            self.n_iter_,
            getattr(self, "_optimizer_state", None),
        )

    def _run(
        self, plan: Plan, attributes: dict[str, Any], X: Any, y: Any, is_stream: bool = False
    ) -> Self:
        """Carry out a plan, and change this estimator only once that has succeeded."""
        attributes = {**attributes, **planned_attributes(plan)}
        context = self._init_callback_context(max_subtasks=plan.settings.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        is_verbose = bool(self.verbose) and plan.ranks.rank == 0
        result = run_fit(plan, EpochReporter(context, self, X, y, attributes, is_verbose))
        attributes |= trained_attributes(result)
        if is_stream:
            attributes |= stream_attributes(result, getattr(self, "loss_curve_", []))
        for name in [name for name in vars(self) if is_learned(name)]:
            delattr(self, name)
        self.__dict__.update(attributes)
        remember_rows(self, None if is_stream else X)
        warn_about(result, plan.settings)
        context.call_on_fit_task_end(estimator=self, X=X, y=y)
        return self

    # Inference

    @without_float_errors
    def transform(self, X: Any) -> Floats:
        """Embed each series.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts, with the same number of channels.

        Returns
        -------
        embeddings : ndarray of shape (n_samples, embedding_dim)
            float32 for float32 input, float64 otherwise. Row i depends on series i alone. With
            ``set_output(transform="pandas")``, a DataFrame, indexed by the ids of the series if
            `X` has any.

        Raises
        ------
        InputError
            If `X` cannot be used, or if an embedding is not finite because a series is too far
            from those of `fit`.
        """
        check_fitted(self)
        series = validate_series(self, X)
        embeddings = np.empty((len(series), self.embedding_dim_), dtype=output_dtype(series))
        for rows, batch in embed(fitted_backend(self), series, fitted_scaling(self)):
            check_finite(batch, rows, "series {} of X is embedded as")
            embeddings[rows] = batch
        return self._with_ids(embeddings, series)

    def _with_ids(self, embeddings: Floats, series: Series) -> Floats:
        """Index pandas output by series; scikit-learn knows the ids of few forms of `X`."""
        if series.ids is None or output_container(self) != "pandas":
            return embeddings
        frame: Any = pd.DataFrame(embeddings, index=series.ids)
        return frame  # type: ignore[no-any-return]

    @without_float_errors
    def transform_timesteps(self, X: Any) -> list[NDArray[np.float32]]:
        """Return features of each timestep: the states of the encoder's LSTM layers.

        A timestep gets the state after the window whose centre is nearest to it. The states are
        those that `pooling` summarizes: of all six layers of a reservoir, of both layers with
        ``"statistics"``, and otherwise of the second one; of both directions, side by side.

        Parameters
        ----------
        X : array-like
            Series in any form that `fit` accepts.

        Returns
        -------
        states : list of n_samples ndarrays of shape (n_timesteps_i, n_units), float32
            With the default parameters, there are 576 units, so that they take 2.3 KB a timestep.
        """
        check_fitted(self)
        series = validate_series(self, X)
        return timestep_states(fitted_backend(self), series, fitted_scaling(self))

    def fit_transform(self, X: Any, y: ArrayLike | None = None, **fit_params: Any) -> Floats:
        """Train the autoencoder, and embed the same series; see `fit` and `transform`."""
        return super().fit_transform(reusable(X), y, **fit_params)  # type: ignore[no-any-return]

    # scikit-learn's protocol

    @property
    def _n_features_out(self) -> int:
        return int(self.embedding_dim_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.target_tags.required = needs_labels(self.target_weight)
        return tags


def _training_series(X: Any, parameters: FitParameters) -> Series:
    series = as_series(X, missing=parameters.missing)
    if parameters.init is not None:
        series = parameters.init.check_channels(series)
    warn_if_transposed(series)
    return series
