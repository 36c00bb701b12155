"""A pool of worker threads: results in order, errors after everything has ended, no thread left."""

import gc
import threading
import time
import weakref

import pytest

from seqfeat.runtime.threads import WorkerPool


def own_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("seqfeat")]


@pytest.mark.parametrize(
    ("n_threads", "n_inputs"), [(1, 7), (2, 0), (2, 1), (2, 7), (3, 7), (8, 2)]
)
def test_results_are_in_the_order_of_the_inputs(n_threads, n_inputs):
    def slow_at_first(number):
        time.sleep(0.01 / (number + 1))
        return number * number

    with WorkerPool(n_threads) as pool:
        results = list(pool.map(slow_at_first, range(n_inputs)))
    assert results == [number * number for number in range(n_inputs)]


def test_as_many_inputs_run_at_a_time_as_there_are_threads():
    meeting = threading.Barrier(3, timeout=10)
    with WorkerPool(3) as pool:
        # Three calls that wait for each other only end together.
        assert len(list(pool.map(lambda _: meeting.wait(), range(6)))) == 6


def test_the_calling_thread_works_too_and_works_alone_on_a_single_input():
    with WorkerPool(3) as pool:
        assert list(pool.map(lambda _: threading.current_thread(), [0])) == [
            threading.current_thread()
        ]
        assert not own_threads()
        threads = list(pool.map(lambda _: threading.current_thread(), range(3)))
        assert threads[0] is threading.current_thread()
        assert threads[1:] == own_threads()


def test_inputs_are_prepared_on_the_calling_thread():
    def prepare(number):
        return number, threading.current_thread()

    with WorkerPool(2) as pool:
        prepared = list(pool.map(lambda one: one, range(5), prepare))
    assert prepared == [(number, threading.current_thread()) for number in range(5)]


def test_each_new_thread_is_prepared_once():
    prepared = []
    with WorkerPool(3, lambda: prepared.append(threading.current_thread())) as pool:
        list(pool.map(str, range(9)))
        assert sorted(prepared, key=id) == sorted(own_threads(), key=id)
    assert len(prepared) == 2


# Errors


@pytest.mark.parametrize("bad", [0, 1])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_is_raised_after_the_other_calls_have_ended(bad, error):
    ended = []

    def fail_or_end(number):
        if number == bad:
            raise error(f"input {number}")
        time.sleep(0.05)
        ended.append(number)

    with WorkerPool(3) as pool:
        with pytest.raises(error, match=f"input {bad}"):
            list(pool.map(fail_or_end, range(3)))
        assert sorted(ended) == sorted({0, 1, 2} - {bad})
        assert list(pool.map(str, range(3))) == ["0", "1", "2"]


def test_after_an_error_in_preparation_no_result_is_taken_for_anothers():
    def prepare(number):
        if number == 2:
            raise ValueError("input 2")
        return number

    with WorkerPool(3) as pool:
        with pytest.raises(ValueError, match="input 2"):
            list(pool.map(lambda number: time.sleep(0.05), range(3), prepare))
        assert list(pool.map(str, range(3))) == ["0", "1", "2"]


def test_of_several_errors_that_of_the_first_input_is_raised():
    def fail(number):
        time.sleep(0.03 * (3 - number))
        raise ValueError(f"input {number}")

    with WorkerPool(4) as pool, pytest.raises(ValueError, match="input 1"):
        list(pool.map(lambda number: number and fail(number), range(4)))


# The end


def test_threads_end_with_the_context():
    with WorkerPool(4) as pool:
        list(pool.map(str, range(4)))
        assert len(own_threads()) == 3
    assert not own_threads()


def test_threads_end_with_the_context_after_an_error():
    with pytest.raises(ZeroDivisionError), WorkerPool(4) as pool:
        list(pool.map(lambda number: 1 // number, range(4)))
    assert not own_threads()


def test_without_a_context_threads_end_with_the_pool():
    pool = WorkerPool(3)
    assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]
    threads = own_threads()
    assert len(threads) == 2
    del pool
    gc.collect()
    for thread in threads:
        thread.join(timeout=10)
    assert not own_threads()


def test_a_pool_that_has_ended_starts_new_threads_if_it_is_used_again():
    pool = WorkerPool(2)
    for _ in range(2):
        with pool:
            assert list(pool.map(str, range(4))) == ["0", "1", "2", "3"]
        assert not own_threads()


def test_idle_threads_keep_neither_inputs_nor_results():
    class Thing:
        pass

    with WorkerPool(2) as pool:
        inputs = [Thing(), Thing()]
        results = list(pool.map(lambda one: Thing(), inputs))
        alive = [weakref.ref(thing) for thing in inputs + results]
        del inputs, results
        deadline = time.monotonic() + 10
        # A worker forgets a task right after it has answered.
        while any(one() for one in alive) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not any(one() for one in alive)
