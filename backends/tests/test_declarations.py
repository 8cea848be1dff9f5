"""What every backend declares of every shipped case: it has an answer, also to what is invalid."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec

import pytest

from convsuite import casefile, declared, worker
from convsuite.backend import registered
from convsuite.case import LEVELS, Case, Level

DEFAULT = LEVELS.index("default")


@cache
def shipped() -> tuple[Case, ...]:
    return tuple(case for case in casefile.builtin().cases if LEVELS.index(case.level) <= DEFAULT)


def _variants():
    """Return each variant of ours, for the process that has its framework."""
    variants = []
    for name, found in registered().items():
        if found.entry_point.module.startswith("convsuite_backends"):
            needs = found.load().requires
            group = next((n for n in ("tensorflow", "jax", "torch") if n in needs), "numpy")
            absent = pytest.mark.skipif(any(find_spec(n) is None for n in needs), reason="not installed")
            variants.append(pytest.param(name, marks=[pytest.mark.xdist_group(group), absent]))
    return variants


@pytest.fixture
def onednn():
    """Leave torch with oneDNN, which a variant takes from its whole process."""
    yield
    if find_spec("torch") is not None:
        import torch

        torch.backends.mkldnn.enabled = True


@pytest.fixture
def gpus(monkeypatch):
    """Let frameworks find a GPU, to declare for it, and leave them with the precision that they had."""
    with ExitStack() as left:
        if find_spec("torch") is not None:
            import torch

            monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
            monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
            for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
                left.callback(setattr, backend, "allow_tf32", backend.allow_tf32)
        if find_spec("jax") is not None:
            import jax

            devices = jax.devices
            monkeypatch.setattr(jax, "devices", lambda kind=None: ["gpu"] if kind == "cuda" else devices(kind))
            left.callback(jax.config.update, "jax_default_matmul_precision", jax.config.jax_default_matmul_precision)
        yield


@pytest.mark.parametrize("name", _variants())
@pytest.mark.usefixtures("onednn", "gpus")
def test_no_declaration_breaks(name):
    cls = registered()[name].load()
    backend = cls(cls.devices[0])
    for case in shipped():
        for pass_ in case.passes:
            support, failure = worker.declared_support(backend, case, pass_)
            assert failure is None, f"{case.id} [{pass_}]: {failure}"
            if case.expect.error is None and support.level is not Level.UNSUPPORTED:
                declared.numerics(backend.numerics(case, pass_))
