import signal
import threading

import pytest

from seqfeat.cli.interrupts import Aborted, InterruptHandler


def test_ctrl_c_is_a_keyboard_interrupt_or_aborts_a_block():
    with InterruptHandler() as interrupts:
        assert not interrupts.received
        with pytest.raises(Aborted), interrupts.aborting():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert interrupts.received


def test_ctrl_c_is_ignored_while_an_earlier_one_is_handled():
    with InterruptHandler():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)


def test_the_previous_handler_is_restored():
    previous = signal.getsignal(signal.SIGINT)
    with InterruptHandler():
        assert signal.getsignal(signal.SIGINT) != previous
    assert signal.getsignal(signal.SIGINT) == previous


def test_after_the_last_block_ctrl_c_is_ignored():
    previous = signal.getsignal(signal.SIGINT)
    try:
        with InterruptHandler(is_last=True):
            pass
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_other_threads_leave_the_handler_alone():
    seen = []

    def enter():
        with InterruptHandler():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
