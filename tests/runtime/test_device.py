"""Devices by name, torch's threads and precision, and how a lack of memory is told."""

import io
import pickle
import pickletools
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seqfeat import DeviceError, DeviceWarning, LSTMAutoencoder, load, save
from seqfeat.runtime.device import (
    exact,
    exact_device,
    full_precision,
    halving_on_out_of_memory,
    inference_device,
    is_out_of_memory,
    mixed_precision,
    outside_modes,
    resolve_device,
    to_device,
)
from seqfeat.runtime.threads import WorkerPool
from seqfeat.runtime.torch_threads import n_cpu_threads, single_threaded, use_one_thread
from tests.new_threads import threads_of_a_new_thread

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
has_cuda = torch.cuda.is_available()
needs_cuda = pytest.mark.skipif(not has_cuda, reason="needs a CUDA device")
needs_no_cuda = pytest.mark.skipif(has_cuda, reason="needs a machine without CUDA")


def sines(n_samples=40, n_timesteps=20):
    phase = np.random.default_rng(0).uniform(0, 6, size=(n_samples, 1))
    return np.sin(np.linspace(0, 5, n_timesteps) + phase)[:, :, None]


def autoencoder(**params):
    plain = {"pooling": "last", "max_iter": 2, "random_state": 0}
    return LSTMAutoencoder(**{"embedding_dim": 4, **plain, **params})


# Names


@needs_no_cuda
def test_auto_is_the_cpu_where_there_is_nothing_else():
    assert resolve_device("auto") == CPU


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == CPU


class Accelerator:
    """Stands in for `torch.accelerator` on a machine with other devices than CUDA's."""

    def __init__(self, kind, n_devices, is_available=True):
        self.kind, self.n_devices, self.available = kind, n_devices, is_available

    def current_accelerator(self):
        return None if self.kind is None else torch.device(self.kind)

    def is_available(self):
        return self.available

    def device_count(self):
        return self.n_devices


@pytest.fixture
def accelerator(monkeypatch):
    """A function that replaces what torch finds."""

    def replace(*found, **states):
        monkeypatch.setattr(torch, "accelerator", Accelerator(*found, **states))
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    return replace


@pytest.mark.parametrize("kind", ["xpu", "mps"])
def test_auto_is_what_torch_offers_and_warns_where_it_was_never_tried(kind, accelerator):
    accelerator(kind, 1)
    with pytest.warns(DeviceWarning, match=f"'{kind}' here. seqfeat has never been run on one"):
        assert resolve_device("auto") == torch.device(kind)
    assert resolve_device(kind) == torch.device(kind)
    assert resolve_device(f"{kind}:0") == torch.device(kind, 0)
    with pytest.raises(DeviceError, match=f"only 1 {kind.upper()} devices, numbered from 0"):
        resolve_device(f"{kind}:1")
    with pytest.raises(DeviceError, match="finds no CUDA device"):
        resolve_device("cuda")


@pytest.mark.parametrize(
    ("found", "states"),
    [
        ((None, 0), {}),
        (("mps", 1), {"is_available": False}),
        (("xpu", 0), {}),
        # A kind that nobody has thought of here.
        (("hpu", 1), {}),
    ],
)
def test_auto_is_the_cpu_where_torch_offers_nothing_of_use(found, states, accelerator):
    accelerator(*found, **states)
    assert resolve_device("auto") == CPU
    for name in ("mps", "xpu:0", "hpu"):
        with pytest.raises(DeviceError, match=f"device='{name}'"):
            resolve_device(name)


def test_cuda_comes_first_and_is_looked_up_without_starting_it(monkeypatch):
    # torch.accelerator would start it, and processes forked later could not use it.
    monkeypatch.setattr(torch, "accelerator", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == CUDA


@pytest.mark.parametrize("name", ["mps", "xpu:1"])
def test_a_model_fitted_on_another_accelerator_runs_on_the_cpu(name, accelerator):
    accelerator(None, 0)
    with pytest.warns(DeviceWarning, match=f"finds no {name[:3].upper()} device.*on the CPU"):
        assert inference_device(name) == CPU


def test_float64_is_computed_on_the_cpu_where_a_device_has_none(monkeypatch):
    mps, xpu = torch.device("mps"), torch.device("xpu")
    assert exact_device(mps) == CPU
    for has_fp64, expected in ((True, xpu), (False, CPU)):
        properties = SimpleNamespace(has_fp64=has_fp64)
        monkeypatch.setattr(torch.xpu, "get_device_properties", lambda device, p=properties: p)
        assert exact_device(xpu) == expected
    assert [exact_device(device) for device in (CPU, CUDA)] == [CPU, CUDA]
    assert exact(torch.ones(2, dtype=torch.float32, device="cpu")).dtype == torch.float64


@needs_no_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3"])
def test_fault_23_a_missing_device_is_an_error_with_the_way_out(name):
    with pytest.raises(DeviceError, match=f"device='{name}'.*device='auto' or device='cpu'"):
        resolve_device(name)


@needs_no_cuda
def test_fault_23_a_fit_without_its_device_leaves_nothing_behind():
    estimator = autoencoder(device="cuda")
    with pytest.raises(ValueError, match="no CUDA device"):
        estimator.fit(sines())
    assert not hasattr(estimator, "weights_")


@needs_no_cuda
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["cuda", "cuda:7"])
def test_fault_23_a_model_fitted_on_cuda_opens_on_the_cpu(name, tmp_path):
    estimator = autoencoder(device="cpu").fit(sines())
    expected = estimator.transform(sines())
    save(estimator.set_params(device=name), tmp_path / "cuda.joblib")
    opened = load(tmp_path / "cuda.joblib")
    with pytest.warns(DeviceWarning, match=f"device='{name}'.*the CPU"):
        np.testing.assert_array_equal(opened.transform(sines()), expected)
    with pytest.raises(DeviceError, match="no CUDA device"):
        opened.fit(sines())
    with pytest.raises(DeviceError, match="not a device"):
        opened.set_params(device="gpu").transform(sines())
    np.testing.assert_array_equal(estimator.set_params(device="auto").transform(sines()), expected)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "CPU", "", "meta", "tpu:0"])
def test_an_unknown_name_is_answered_with_the_known_ones(name):
    with pytest.raises(DeviceError, match=r"use 'auto', .*, 'xpu' or 'mps'\.$"):
        resolve_device(name)


# Threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_nested_blocks_restore_the_threads_at_the_end_of_the_outermost():
    with single_threaded():
        with single_threaded():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_work_can_be_kept_from_being_divided_among_threads():
    for outer in (single_threaded(), single_threaded(n_usable=3), nullcontext()):
        with outer:
            before = n_cpu_threads()
            with single_threaded(n_usable=1):
                assert torch.get_num_threads() == n_cpu_threads() == 1
                with single_threaded():
                    assert n_cpu_threads() == 1
            assert n_cpu_threads() == before
    assert torch.get_num_threads() == n_cpu_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_restores_the_threads():
    with pytest.raises(KeyboardInterrupt), single_threaded():
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


class OtherThread:
    """A thread that stays within `single_threaded` until it is told to leave."""

    def __init__(self):
        self.inside, self.may_leave = threading.Event(), threading.Event()
        self.seen = []
        self.thread = threading.Thread(target=self.work)

    def work(self):
        with single_threaded():
            self.inside.set()
            self.may_leave.wait(timeout=60)
            self.seen.append(torch.get_num_threads())
        self.seen.append(torch.get_num_threads())

    def enter(self):
        self.thread.start()
        assert self.inside.wait(timeout=60)

    def leave(self):
        self.may_leave.set()
        self.thread.join()


@pytest.mark.usefixtures("two_threads")
def test_the_first_to_leave_gets_its_threads_back_and_takes_none_from_the_other():
    other = OtherThread()
    with single_threaded():
        other.enter()
    assert torch.get_num_threads() == 2
    other.leave()
    assert other.seen == [1, 2]
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_last_to_leave_gets_its_threads_back():
    other = OtherThread()
    other.enter()
    with single_threaded():
        other.leave()
        assert torch.get_num_threads() == 1
    assert other.seen == [1, 2]
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_number_of_usable_threads_is_that_of_the_caller():
    assert n_cpu_threads() == 2
    with single_threaded():
        assert n_cpu_threads() == 2
        torch.set_num_threads(1)
    torch.set_num_threads(1)
    assert n_cpu_threads() == 1
    with single_threaded():
        assert n_cpu_threads() == 1


@pytest.mark.usefixtures("two_threads")
def test_a_worker_stays_on_one_thread():
    """Also after it has been within `single_threaded`, and after another fit has ended."""

    def work(_):
        with single_threaded():
            within = torch.get_num_threads()
        return within, torch.get_num_threads(), n_cpu_threads()

    other = OtherThread()
    with single_threaded(), WorkerPool(2, use_one_thread) as pool:
        assert list(pool.map(work, range(2))) == [(1, 1, 2), (1, 1, 1)]
        other.enter()
        other.leave()
        assert list(pool.map(work, range(2))) == [(1, 1, 2), (1, 1, 1)]
    assert torch.get_num_threads() == threads_of_a_new_thread() == 2


# Modes and precision


def test_the_cpu_computes_in_full_precision():
    x = torch.ones((2, 2))
    with mixed_precision(CPU), full_precision(CPU):
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("mode", [full_precision, outside_modes])
def test_autocast_of_the_caller_is_left(mode):
    x = torch.ones((2, 2))
    with torch.autocast("cpu", torch.bfloat16):
        with mode(CPU):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_inference_mode_of_the_caller_is_left():
    with torch.inference_mode():
        with outside_modes(CPU):
            assert not torch.ones(2).is_inference()
        assert torch.ones(2).is_inference()


@pytest.mark.parametrize("wrap", [lambda x: x, torch.from_numpy])
def test_arrays_and_tensors_reach_the_cpu_without_a_copy(wrap):
    array = np.arange(3, dtype=np.float32)
    tensor = to_device(wrap(array), CPU)
    assert tensor.device == CPU
    assert tensor.data_ptr() == array.ctypes.data


# Memory (fault 24)


@pytest.mark.parametrize(
    "message",
    [
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA error: out of memory",
    ],
)
def test_a_lack_of_memory_is_known_by_several_messages(message):
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(ValueError(message))


def test_the_cpu_allocators_error_is_a_lack_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("can_halve", [True, False])
def test_a_lack_of_memory_is_swallowed_if_the_batch_can_be_halved(can_halve):
    halved = []

    def halve():
        halved.append(1)
        return can_halve

    try:
        with halving_on_out_of_memory(halve, CPU):
            raise torch.OutOfMemoryError("CUDA out of memory.")
    except torch.OutOfMemoryError:
        assert not can_halve
    assert halved == [1]


def test_other_errors_pass_through_without_halving():
    halved = []
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        halving_on_out_of_memory(lambda: halved.append(1), CPU),
    ):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert halved == []


# CUDA


@pytest.fixture
def fitted_on_cuda():
    estimator = autoencoder(embedding_dim=8, max_iter=60, learning_rate_init=1e-2, device="cuda")
    return estimator.fit(sines())


@pytest.mark.cuda
@needs_cuda
def test_cuda_resolves_by_name_but_not_beyond_the_last_device():
    assert resolve_device("auto").type == resolve_device("cuda:0").type == "cuda"
    with pytest.raises(DeviceError, match="numbered from 0"):
        resolve_device(f"cuda:{torch.cuda.device_count()}")


@pytest.mark.cuda
@needs_cuda
def test_cuda_training_converges_in_mixed_precision(fitted_on_cuda):
    x = torch.ones((4, 4), device="cuda")
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    with mixed_precision(CUDA):
        assert (x @ x).dtype == (torch.bfloat16 if has_bfloat16 else torch.float32)
    assert fitted_on_cuda.loss_curve_[-1] < 0.3 * fitted_on_cuda.loss_curve_[0]
    assert fitted_on_cuda.score(sines()) > 0.8


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("method", ["transform", "reconstruct", "score_samples"])
def test_cuda_and_cpu_agree(fitted_on_cuda, method):
    on_cuda = getattr(fitted_on_cuda, method)(sines())
    on_cpu = getattr(fitted_on_cuda.set_params(device="cpu"), method)(sines())
    np.testing.assert_allclose(on_cuda, on_cpu, atol=1e-4)


@pytest.mark.cuda
@needs_cuda
def test_cuda_and_cpu_agree_on_the_default_architecture():
    phase = np.random.default_rng(3).uniform(0, 6, size=(60, 1))
    X = np.sin(np.linspace(0, 6, 40) + phase)[:, :, None]
    on_cuda = LSTMAutoencoder(8, device="cuda", random_state=0).fit(X)
    assert on_cuda.score(X) > 0.8
    on_cpu = pickle.loads(pickle.dumps(on_cuda)).set_params(device="cpu")
    np.testing.assert_allclose(on_cpu.transform(X), on_cuda.transform(X), atol=1e-4)
    np.testing.assert_allclose(on_cpu.reconstruct(X), on_cuda.reconstruct(X), atol=1e-3)


@pytest.mark.cuda
@needs_cuda
def test_cuda_pickles_hold_no_tensor_and_predict_on_the_cpu(fitted_on_cuda):
    expected = fitted_on_cuda.transform(sines())
    pickled = pickle.dumps(fitted_on_cuda)
    names = [argument for _, argument, _ in pickletools.genops(io.BytesIO(pickled))]
    assert not [name for name in names if isinstance(name, str) and name.startswith("torch")]
    on_cpu = pickle.loads(pickled).set_params(device="cpu")
    np.testing.assert_allclose(on_cpu.transform(sines()), expected, atol=1e-4)


@pytest.mark.cuda
@needs_cuda
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_cuda_streams_continue_from_a_pickle():
    estimator = autoencoder(device="cuda").partial_fit(sines())
    again = pickle.loads(pickle.dumps(estimator)).set_params(device="cpu")
    again.partial_fit(sines())
    assert again.n_iter_ == 2
    assert np.isfinite(again.transform(sines())).all()
