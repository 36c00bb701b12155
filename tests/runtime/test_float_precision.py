"""Settings of the process by which torch would compute in less than float32."""

import os
import sys
import threading
from contextlib import ExitStack

import pytest
import torch

from seqfeat.runtime.float_precision import exact_float32

backends = torch.backends
pytestmark = pytest.mark.skipif(
    not hasattr(backends.cudnn, "rnn"), reason="PyTorch has these settings from 2.9 on"
)


def settings():
    owners = [backends.mkldnn.matmul, backends.mkldnn.rnn, backends.cuda.matmul]
    owners += [backends.cudnn.rnn, backends.cudnn.conv]
    return [owner.fp32_precision for owner in owners]


def set_in_the_old_way():
    torch.set_float32_matmul_precision("medium")


def set_in_the_new_way():
    backends.mkldnn.matmul.fp32_precision = "bf16"
    backends.cudnn.rnn.fp32_precision = "ieee"


@pytest.fixture(params=[set_in_the_old_way, set_in_the_new_way])
def lowered(request):
    """A caller that has lowered the precision; the second one in a way that reading may fail."""
    before = settings()
    request.param()
    yield settings()
    torch.set_float32_matmul_precision("highest")
    owners = [backends.mkldnn.matmul, backends.mkldnn.rnn, backends.cuda.matmul]
    owners += [backends.cudnn.rnn, backends.cudnn.conv]
    for owner, value in zip(owners, before, strict=True):
        owner.fp32_precision = value


def test_it_is_float32_until_the_last_one_leaves(lowered):
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(exact_float32())
        second.enter_context(exact_float32())
        assert set(settings()) == {"ieee"}
        assert backends.cudnn.deterministic
        first.close()
        assert set(settings()) == {"ieee"}
    assert settings() == lowered
    assert not backends.cudnn.deterministic


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_forked_process_has_the_settings_of_the_caller(lowered):
    """Although the thread that would have restored them was not copied."""
    inside, may_leave = threading.Event(), threading.Event()

    def compute():
        with exact_float32():
            inside.set()
            may_leave.wait(timeout=60)

    thread = threading.Thread(target=compute)
    thread.start()
    inside.wait(timeout=60)
    child = os.fork()
    if child == 0:
        os._exit(0 if settings() == lowered else 1)
    may_leave.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
