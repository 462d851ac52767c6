"""CPython as a host: arguments are the library, bound (0 or 1), storm (0 or 1).

ctypes lets go of the interpreter's lock while a function of the library runs, and takes it again
where a function of Python's is called from C. Threads of Python call in; the library calls Python
inside a callback, and on threads that Python has not made; forked children are refused; a handler
of Python's for faults still has its say.
"""

import ctypes
import faulthandler
import multiprocessing
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

FORKED = -4
THREADS, CALLS = 6, 200

# Its handler and its signal stack are there before the library's.
faulthandler.enable()

library = ctypes.CDLL(sys.argv[1])
CALLED = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
for name in ("host_call", "host_callbacks"):
    getattr(library, name).restype = ctypes.c_int64
library.host_call.argtypes = [ctypes.c_int64]
for name in ("host_call_fn", "host_on_thread"):
    getattr(library, name).restype = ctypes.c_int64
    getattr(library, name).argtypes = [CALLED, ctypes.c_int64, ctypes.c_void_p]


def check(right, what):
    library.host_check(int(bool(right)), what.encode())


def calls(first):
    for value in range(first, first + CALLS):
        if library.host_call(value) != value * 2 + 1:
            check(False, f"a wrong answer for {value}")


@CALLED
def in_callback(value, _user):
    """Python code in the middle of a callback, which calls in once more."""
    return library.host_call(value) + sum(range(value % 10))


def nested(value):
    wanted = value * 2 + 1 + sum(range(value % 10))
    for function in (library.host_call_fn, library.host_on_thread):
        answer = function(in_callback, value, None)
        check(answer == wanted, f"{function.__name__}({value}) is {answer}, not {wanted}")


def in_child(value):
    return library.host_call(value)


def forks():
    """Children of multiprocessing, while other threads of the parent are in callbacks."""
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        answers = pool.map(in_child, range(20))
    check(answers == [FORKED] * 20, f"children got {answers}")
    child = fork.Process(target=in_child, args=(1,))
    child.start()
    child.join()
    check(child.exitcode == 0, f"a child ended with {child.exitcode}")


@CALLED
def reads_nothing(_value, _user):
    ctypes.string_at(8)
    return 0


def faults():
    """A fault in a callback and outside: faulthandler prints its lines, and the process dies."""
    for where in ("inside", "outside"):
        again = [sys.executable, *sys.argv[:4], where]
        ended = subprocess.run(again, capture_output=True, check=False)
        check(ended.returncode == -signal.SIGSEGV, f"a fault {where} ended with {ended.returncode}")
        check(b"Fatal Python error: Segmentation fault" in ended.stderr and b"line" in ended.stderr,
              f"faulthandler said of one {where}: {ended.stderr}")


def fault(where):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library.host_call(1)
    if where == "inside":
        library.host_call_fn(reads_nothing, 1, None)
    else:
        ctypes.string_at(8)


def main():
    interrupts = signal.getsignal(signal.SIGINT)
    # As Python leaves it below: the entry gets flags of Python's.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert library.host_begin(int(sys.argv[2]), int(sys.argv[3])) == 0
    if len(sys.argv) > 4:
        return fault(sys.argv[4])
    threads = [threading.Thread(target=calls, args=(n * 1000,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    forks()
    for thread in threads:
        thread.join()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(nested, range(1, 101)))
    faults()
    done = library.host_callbacks()
    wanted = THREADS * CALLS + 4 * 100
    check(done == wanted, f"{done} callbacks, not {wanted}")
    # Python's own use: its signals, its children, its threads' sleep.
    check(signal.getsignal(signal.SIGINT) is interrupts, "the handler of SIGINT has changed")
    woken = threading.Event()
    signal.signal(signal.SIGALRM, lambda *_: woken.set())
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    check(woken.wait(10), "Python's handler of SIGALRM was not called")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answer = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, check=True)
    check(answer.stdout == b"42\n", f"a subprocess said {answer.stdout}")
    sys.stdout.flush()
    return library.host_end()


if __name__ == "__main__":
    sys.exit(main())
