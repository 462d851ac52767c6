"""gosched for Python, by ctypes: one file to copy beside a program.

The library is GOSCHED_LIBRARY, or what the system finds under the name gosched.

Each goroutine has a thread here (GOSCHED_MODE_THREADS). Python keeps its interpreter state on the
thread, so two functions of Python's cannot take turns on one. ctypes gives the interpreter's lock
back during each call of the library, so a goroutine that waits holds nobody up.
"""

import ctypes
import ctypes.util
import itertools
import os

OK, CLOSED, CANCELLED, TIMED_OUT, WOULD_BLOCK = 0, 3, 8, 9, 34
ABI, MODE_THREADS = 1, 1
UNBOUNDED = ctypes.c_size_t(-1).value

_library = ctypes.CDLL(os.environ.get("GOSCHED_LIBRARY") or ctypes.util.find_library("gosched"))
_FN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_library.gosched_last_error.restype = ctypes.c_char_p
_library.gosched_chan_length.restype = ctypes.c_size_t
for _name in ["runtime", "chan", "goroutine"]:
    getattr(_library, f"gosched_{_name}_free").restype = None


class _Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("abi", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("procs", ctypes.c_size_t),
        ("stack_size", ctypes.c_size_t),
        ("max_threads", ctypes.c_size_t),
        ("max_blocking_threads", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("binding", ctypes.c_uint32),
        ("warnings", ctypes.c_uint32),
    ]


class _GoOptions(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("stack_size", ctypes.c_size_t),
        ("release", _FN),
        ("own_thread", ctypes.c_uint32),
        ("behaves", ctypes.c_uint32),
    ]


class Error(Exception):
    """A function of the library has failed; code says how."""

    def __init__(self, code):
        super().__init__(_library.gosched_last_error().decode())
        self.code = code


class Cancelled(Error):
    """The goroutine is cancelled, or its runtime shuts down: let it end."""


class Closed(Error):
    """The channel is closed."""


def _check(code):
    if code != OK:
        raise {CANCELLED: Cancelled, CLOSED: Closed}.get(code, Error)(code)


def _ns(seconds):
    return ctypes.c_uint64(int(seconds * 1e9))


# What the library has a number of: objects in channels, and functions that are to be called.
_kept = {}
_numbers = itertools.count(1)


def _keep(thing):
    number = next(_numbers)
    _kept[number] = thing
    return number


class _Call:
    """A function, and what came of it."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments
        self.value = self.error = None

    def run(self):
        try:
            self.value = self.function(*self.arguments)
        except BaseException as error:  # It must not pass the library's frames.
            self.error = error

    def take(self):
        if self.error is not None:
            raise self.error
        return self.value


# At the top of the module, so that they stay as long as the library may call them.
_run = _FN(lambda number: _kept[number].run())
_release = _FN(lambda number: _kept.pop(number, None) and None)


class Goroutine:
    """A goroutine that runs a function."""

    def __init__(self, handle, call):
        self._handle, self._call = handle, call

    def join(self, timeout=None):
        """Waits for its end; returns what its function returned, or raises what it raised."""
        if timeout is None:
            _check(_library.gosched_join(self._handle))
        else:
            _check(_library.gosched_join_timeout(self._handle, _ns(timeout)))
        return self._call.take()

    def cancel(self):
        """Has its waits raise Cancelled."""
        _check(_library.gosched_cancel(self._handle))

    def __del__(self):
        _library.gosched_goroutine_free(self._handle)


class Runtime:
    """A runtime; as a context manager it is shut down at the end."""

    def __init__(self):
        options = _Options(size=ctypes.sizeof(_Options), abi=ABI, mode=MODE_THREADS)
        self._handle = ctypes.c_void_p()
        _check(_library.gosched_runtime_new(ctypes.byref(options), ctypes.byref(self._handle)))

    def go(self, function, *arguments):
        """Runs function(*arguments) in a goroutine."""
        call, handle = _Call(function, arguments), ctypes.c_void_p()
        options = _GoOptions(size=ctypes.sizeof(_GoOptions), release=_release)
        number = ctypes.c_void_p(_keep(call))
        _check(
            _library.gosched_go_with(
                self._handle, ctypes.byref(options), _run, number, ctypes.byref(handle)
            )
        )
        return Goroutine(handle, call)

    def enter(self, function, *arguments):
        """Runs function(*arguments) as a goroutine on the calling thread; returns its value."""
        call = _Call(function, arguments)
        number = _keep(call)
        try:
            _check(_library.gosched_enter(self._handle, _run, ctypes.c_void_p(number)))
        finally:
            del _kept[number]
        return call.take()

    def shutdown(self, grace=10.0):
        """Ends the runtime: waits of its goroutines raise Cancelled."""
        _check(_library.gosched_runtime_shutdown(self._handle, _ns(grace)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        _library.gosched_runtime_free(self._handle)
        self._handle = None


class Chan:
    """A channel of objects, between goroutines and threads."""

    def __init__(self, capacity=0):
        self._handle = ctypes.c_void_p()
        made = ctypes.byref(self._handle)
        _check(_library.gosched_chan_new(ctypes.c_size_t(capacity), _release, made))

    def send(self, thing, timeout=None):
        """Sends an object, and waits until there is room; raises Closed."""
        number = _keep(thing)
        pointer = ctypes.c_void_p(number)
        if timeout is None:
            code = _library.gosched_chan_send(self._handle, pointer)
        else:
            code = _library.gosched_chan_send_timeout(self._handle, pointer, _ns(timeout))
        if code != OK:
            del _kept[number]
        _check(code)

    def recv(self, timeout=None):
        """Receives an object, and waits for it; raises Closed once it is closed and empty."""
        pointer = ctypes.c_void_p()
        if timeout is None:
            _check(_library.gosched_chan_recv(self._handle, ctypes.byref(pointer)))
        else:
            code = _library.gosched_chan_recv_timeout(
                self._handle, ctypes.byref(pointer), _ns(timeout)
            )
            _check(code)
        return _kept.pop(pointer.value)

    def close(self):
        """Closes the channel."""
        _check(_library.gosched_chan_close(self._handle))

    def __iter__(self):
        try:
            while True:
                yield self.recv()
        except Closed:
            return

    def __len__(self):
        return _library.gosched_chan_length(self._handle)

    def __del__(self):
        if self._handle:
            _library.gosched_chan_free(self._handle)


def sleep(seconds):
    """Waits; raises Cancelled."""
    _check(_library.gosched_sleep(_ns(seconds)))
