"""Calls kernels with arrays that end, or begin, where their memory does. A program by itself.

    python exact_memory.py FOLDER pages|valgrind

It reads `kernels.o` and `calls.pickle`, groups of calls, from a folder, and prints, as JSON, the
outcome of each group: with "pages" the signal that ended it, as the memory beside each array must
not be touched at all; under valgrind the number of errors that this found in the calls. PyTorch,
whose own errors would hide those of the kernels, is not imported.
"""

import ctypes
import json
import mmap
import os
import pickle
import sys
from functools import partial
from pathlib import Path

import llvmlite.binding as llvm

PROT_NONE, PROT_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE


def load(path):
    """Return an engine that holds the compiled functions of an object file."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(path.read_bytes()))
    engine.finalize_object()
    return engine


def function(engine, name, n_arguments):
    address = engine.get_function_address(name)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * n_arguments)(address)


LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.malloc.argtypes, LIBC.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
LIBC.free.argtypes = [ctypes.c_void_p]
LIBC.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def on_the_heap(content):
    """Return the address of a copy in memory of exactly its size."""
    address = LIBC.malloc(len(content))
    ctypes.memmove(address, content, len(content))
    return address


def between_pages(content, is_at_the_end):
    """Return the address of a copy that begins or ends beside a page that nobody may touch."""
    size = mmap.PAGESIZE * -(-max(len(content), 1) // mmap.PAGESIZE)
    pages = mmap.mmap(-1, size + 2 * mmap.PAGESIZE, prot=PROT_WRITE)
    first = ctypes.addressof(ctypes.c_char.from_buffer(pages)) + mmap.PAGESIZE
    for page in (first - mmap.PAGESIZE, first + size):
        if LIBC.mprotect(page, mmap.PAGESIZE, PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
    address = first + (size - len(content)) * is_at_the_end
    ctypes.memmove(address, content, len(content))
    KEPT.append(pages)
    return address


KEPT = []

# The instructions of `valgrind.h` for x86-64, which do nothing elsewhere: rax is the address of the
# request, which comes in rdi, and the answer, 0 before, is in rdx.
ASK_VALGRIND = bytes.fromhex(
    "4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3".replace(" ", "")
)
COUNT_ERRORS = 0x1201


def make_count_errors():
    """Return a function that asks valgrind how many errors it has found so far."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=PROT_WRITE | mmap.PROT_EXEC)
    code.write(ASK_VALGRIND)
    KEPT.append(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    ask = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(address)
    request = (ctypes.c_int64 * 6)(COUNT_ERRORS)
    return lambda: ask(ctypes.addressof(request))


def arguments_of(call, place):
    """Return what a call takes; `place` turns an array's content into an address."""
    return [place(value) + shift if isinstance(value, bytes) else value for value, shift in call]


def run_between_pages(runs):
    """Make calls in a process of their own, each twice; return the signal that ended it, or 0."""
    child = os.fork()
    if not child:
        for run, call in runs:
            run(*arguments_of(call, partial(between_pages, is_at_the_end=True)))
            run(*arguments_of(call, partial(between_pages, is_at_the_end=False)))
        os._exit(0)
    return -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run_under_valgrind(runs, count_errors):
    """Make calls; return the number of errors that valgrind found in them."""
    found = 0
    for run, call in runs:
        placed = []

        def place(content, placed=placed):
            placed.append(on_the_heap(content))
            return placed[-1]

        arguments = arguments_of(call, place)
        before = count_errors()
        run(*arguments)
        found += count_errors() - before
        for address in placed:
            LIBC.free(address)
    return found


def main(folder, how):
    engine = load(folder / "kernels.o")
    outcomes, count_errors = [], make_count_errors()
    for group in pickle.loads((folder / "calls.pickle").read_bytes()):
        runs = [(function(engine, name, len(call)), call) for name, call in group]
        if how == "pages":
            outcomes.append(run_between_pages(runs))
        else:
            outcomes.append(run_under_valgrind(runs, count_errors))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
