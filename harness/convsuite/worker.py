"""One backend variant in one process: what runs on the far side of the pool.

Nothing heavy is imported at the top: `begin` sets the environment first, and NumPy, too, reads thread variables as it
loads.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.backend import Backend
    from convsuite.case import Case, Numerics, Operand, Pass, Support

_KEPT = 4  # compiled geometries kept: cases of one geometry follow each other
_MESSAGE = 2000  # characters of an exception's text that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An exception, as text: it may hold objects that no other process can read."""

    exception: str  # type name
    message: str
    missing: bool = False  # the framework itself is not installed, or has no such device
    uncalled: bool = False  # in a declaration, or as operands were converted: no refusal of the framework's


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a backend says of itself once it is imported."""

    versions: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    import_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PassAnswer:
    """One pass' result, or why there is none."""

    pass_: Pass
    support: Support
    numerics: Numerics | None = None
    array: Any = None  # whatever `to_numpy` gave, an array if the backend is right
    dtype: str = ""
    failure: Failure | None = None
    again: Any = None  # the second run's result, where it is not the same bits
    reproducible: bool | None = None
    wrote_into: tuple[str, ...] = ()  # roles of operands that the backend changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All passes of one case."""

    passes: tuple[PassAnswer, ...]
    seconds: float
    rss_bytes: int


_backend: Backend | None = None
_functions: dict[tuple[str, Case], Callable[..., Any]] = {}


def begin(log: str) -> None:
    """Set up a fresh process, before any framework: signals, and where output goes.

    Whatever the backend prints, and the last words of one that dies, go to the file `log`, never into our own output.
    """
    import signal

    with open(f"{log}.pids", "a") as pids:  # noqa: PTH123 - pathlib is not loaded yet
        pids.write(f"{os.getpid()}\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle: it ends its workers
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 - lives as long as the process
    import faulthandler

    faulthandler.enable()
    _end_with_parent()


def _end_with_parent() -> None:
    """End this process when its parent is gone, however that ended; else a killed run would leave it behind."""
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def open_backend(name: str, device: str) -> Info | Failure:
    """Import the backend and its framework, once per process."""
    global _backend
    from convsuite import declared
    from convsuite.backend import find
    from convsuite.errors import DeviceError

    started = time.perf_counter()
    cls: type[Backend] | None = None
    try:
        cls = find(name).load()
        os.environ.update(cls.environment)
        _backend = _on_device(cls, device)
        versions = tuple((declared.plain(k), declared.plain(v)) for k, v in _backend.versions().items())
    except ModuleNotFoundError as error:
        absent = cls is not None and error.name is not None and error.name.partition(".")[0] in cls.requires
        if absent:
            return Failure(
                exception="ModuleNotFoundError", message=f"its framework is not installed ({error})", missing=True
            )
        return failure_of(error)
    except DeviceError as error:
        return failure_of(error, missing=True)
    except BaseException as error:
        return failure_of(error)
    return Info(versions=versions, environment=tuple(cls.environment.items()), import_s=time.perf_counter() - started)


def _on_device(cls: type[Backend], device: str) -> Backend:
    from convsuite.errors import DeviceError

    if device.partition(":")[0] not in cls.devices:
        raise DeviceError(f"computes on {', '.join(cls.devices)}, not on {device}")
    return cls(device)


def run_case(
    name: str, device: str, case: Case, operands: tuple[NDArray[np.generic], ...], probe: bool
) -> Answer | Failure:
    """Run every pass of a case twice and bring the results back as NumPy arrays.

    `probe` tries also what the backend declares unsupported.
    """
    backend = opened(name, device)
    if isinstance(backend, Failure):
        return backend
    started = time.perf_counter()
    passes = tuple(_run(backend, case, operands, probe))
    return Answer(passes=passes, seconds=time.perf_counter() - started, rss_bytes=_rss_bytes())


def opened(name: str, device: str) -> Backend | Failure:
    """Return this process' backend; where the process is new, because the one before it died, import it."""
    if _backend is None:
        info = open_backend(name, device)
        if isinstance(info, Failure):
            return info
    assert _backend is not None
    return _backend


def _run(backend: Backend, case: Case, operands: tuple[NDArray[np.generic], ...], probe: bool) -> list[PassAnswer]:
    from convsuite.case import Pass

    forward = [p for p in (Pass.FORWARD, Pass.INDICES) if p in case.passes]
    answers = [_forward(backend, case, operands, pass_, probe) for pass_ in forward]
    if case.wants_gradient:
        answers.extend(_backward(backend, case, operands, probe))
    return answers


def _forward(
    backend: Backend, case: Case, operands: tuple[NDArray[np.generic], ...], pass_: Pass, probe: bool
) -> PassAnswer:
    """Run the operation itself, or that part of it that gives the indices."""
    support, failure = declared_support(backend, case, pass_)
    if failure or (support.level == "unsupported" and not probe):
        return PassAnswer(pass_=pass_, support=support, failure=failure)
    inputs = [(o, a) for o, a in zip(case.operands, operands, strict=True) if o.role != "grad_output"]
    try:
        function = compiled(pass_.role, case, lambda: backend.forward(case, method_of(case, pass_)))
        native, failure = _converted(backend, case, inputs)
        if failure:
            return PassAnswer(pass_=pass_, support=support, failure=failure)
        before = _seen(backend, case, native)
        first = _finished(backend, function(*native))
        if case.expect.error is not None:  # that it answered is all there is to know
            return PassAnswer(pass_=pass_, support=support)
        second = _finished(backend, function(*native))
        wrote_into = _changed(case, before, _seen(backend, case, native))
        return answered(backend, case, pass_, support, (first, second), wrote_into)
    except BaseException as error:
        return PassAnswer(pass_=pass_, support=support, failure=failure_of(error))


def _backward(backend: Backend, case: Case, operands: tuple[NDArray[np.generic], ...], probe: bool) -> list[PassAnswer]:
    wanted = [p for p in case.passes if p.gradient]
    support, failure = declared_support(backend, case, wanted[0])
    if failure or (support.level == "unsupported" and not probe):
        return [PassAnswer(pass_=p, support=support, failure=failure) for p in wanted]
    roles = [o.role for o in case.operands[:-1]]
    try:
        function = compiled("backward", case, lambda: backend.backward(case))
        native = [backend.to_native(a.copy(), o, case) for o, a in zip(case.operands, operands, strict=True)]
        before = _seen(backend, case, native)
        first, second = ([_finished(backend, g) for g in function(native[:-1], native[-1])] for _ in range(2))
        if len(first) != len(roles) or len(second) != len(roles):
            raise TypeError(f"returned {len(first)} gradients for {len(roles)} operands")
        wrote_into = _changed(case, before, _seen(backend, case, native))
    except BaseException as error:
        return [PassAnswer(pass_=p, support=support, failure=failure_of(error)) for p in wanted]
    pairs = [(first[roles.index(p.role)], second[roles.index(p.role)]) for p in wanted]
    return [_gradient(backend, case, p, support, pair, wrote_into) for p, pair in zip(wanted, pairs, strict=True)]


def _gradient(
    backend: Backend, case: Case, pass_: Pass, support: Support, pair: tuple[Any, Any], wrote_into: tuple[str, ...]
) -> PassAnswer:
    try:
        return answered(backend, case, pass_, support, pair, wrote_into)
    except BaseException as error:
        return PassAnswer(pass_=pass_, support=support, failure=failure_of(error))


def answered(
    backend: Backend, case: Case, pass_: Pass, support: Support, pair: tuple[Any, Any], wrote_into: tuple[str, ...]
) -> PassAnswer:
    """Bring both runs' results back; the second only where it differs."""
    from convsuite import declared

    first, second = (_array(backend, result, pass_.role, case) for result in pair)
    same = _same_bits(first, second) or type(first) is type(second) is str
    return PassAnswer(
        pass_=pass_,
        support=support,
        numerics=declared.numerics(backend.numerics(case, pass_)),
        array=first,
        dtype=_dtype(backend, pair[0], case),
        again=None if same else second,
        reproducible=None if isinstance(first, str) else same,
        wrote_into=wrote_into,
    )


def _converted(
    backend: Backend, case: Case, inputs: Sequence[tuple[Operand, NDArray[np.generic]]]
) -> tuple[list[Any], Failure | None]:
    """Return the operands as the framework takes them; one that cannot be had is an error of the backend's."""
    try:
        return [backend.to_native(array.copy(), operand, case) for operand, array in inputs], None
    except BaseException as error:
        return [], failure_of(error, uncalled=True)


def method_of(case: Case, pass_: Pass) -> str:
    """Return the name of the backend's method that computes a pass; gradients are those of the operation's."""
    return f"{case.operation}_indices" if pass_.role == "indices" else case.operation


def declared_support(backend: Backend, case: Case, pass_: Pass) -> tuple[Support, Failure | None]:
    """Return the backend's declaration; one that raises while declaring is an error of that backend."""
    from convsuite import declared
    from convsuite.case import Level, Pass, Support

    if not hasattr(backend, method_of(case, pass_)):
        return Support.unsupported(f"has no {method_of(case, pass_)}"), None
    try:
        support = declared.support(backend.support(case))
        if pass_ is not Pass.FORWARD and support.level is not Level.UNSUPPORTED:
            own = backend.gradient_support if pass_.gradient else backend.indices_support
            more = declared.support(own(case))
            support = more if more.level is not Level.NATIVE else support
    except BaseException as error:
        return Support.native(), failure_of(error, uncalled=True)
    return support, None


def compiled(which: str, case: Case, build: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """Return the function of a geometry, from the last few where it is among them."""
    from convsuite.case import geometry

    key = (which, geometry(case))
    function = _functions.pop(key, None) or build()
    _functions[key] = function
    while len(_functions) > _KEPT:
        del _functions[next(iter(_functions))]
    return function


def _finished(backend: Backend, result: Any) -> Any:
    if result is not None:
        backend.synchronize(result)
    return result


def _array(backend: Backend, result: Any, role: str, case: Case) -> Any:
    """Return an array of numbers where the backend gave one (bfloat16 in float32), else what it is, in words."""
    import numpy as np

    array = None if result is None else backend.to_numpy(result, role, case)
    if not isinstance(array, np.ndarray):
        return "None" if array is None else f"a {type(array).__name__}"
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiu":
        return f"an array of {array.dtype}"
    return np.ascontiguousarray(array).reshape(array.shape)


def _dtype(backend: Backend, result: Any, case: Case) -> str:
    from convsuite.declared import plain

    return "" if result is None else plain(backend.dtype_name(result, case))


def _same_bits(first: Any, second: Any) -> bool:
    import numpy as np

    return isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.tobytes() == second.tobytes()


def _seen(backend: Backend, case: Case, native: Sequence[Any]) -> list[Any]:
    """Return the operands read back as they are now: what is rounded on the way in is not held against it here."""
    import numpy as np

    roles = ["output" if operand.role == "grad_output" else operand.role for operand in case.operands]
    arrays = [_array(backend, array, role, case) for array, role in zip(native, roles, strict=False)]
    return [array.copy() if isinstance(array, np.ndarray) else array for array in arrays]


def _changed(case: Case, before: Sequence[Any], after: Sequence[Any]) -> tuple[str, ...]:
    """Return the roles of the operands that are no longer what they were; any NaN equals any."""
    import numpy as np

    pairs = zip(case.operands, before, after, strict=False)  # the forward pass takes no grad_output
    return tuple(
        operand.role
        for operand, old, new in pairs
        if isinstance(old, np.ndarray)
        and not (isinstance(new, np.ndarray) and np.array_equal(old, new, equal_nan=old.dtype.kind == "f"))
    )


def failure_of(error: BaseException, missing: bool = False, uncalled: bool = False) -> Failure:
    """Return an exception as text, with the place in the backend's own code where it broke there."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be made)"
    text = text.strip().encode("utf-8", "backslashreplace").decode()
    if len(text) > _MESSAGE:
        text = f"{text[:_MESSAGE]}… ({len(text)} characters)"
    message = text + _place(error)
    return Failure(exception=type(error).__name__, message=message, missing=missing, uncalled=uncalled)


def _place(error: BaseException) -> str:
    """Return where a backend's own code broke: its author looks for that; a framework's refusal has its own words."""
    from pathlib import Path
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)
    own = sys.modules[type(_backend).__module__].__file__ if _backend is not None else None
    if not frames or own is None or frames[-1].filename != own:
        return ""
    return f" ({Path(own).name}:{frames[-1].lineno}, in {frames[-1].name})"


def _rss_bytes() -> int:
    """Return the process' memory now; 0 where the platform does not tell."""
    try:
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
