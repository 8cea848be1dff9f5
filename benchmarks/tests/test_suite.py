"""What our benchmarks ask of the measuring engine, and what they make of its answers."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from convsuite.bench.api import Timed

ROOT = Path(__file__).parents[2]


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, on real layers and with the engine's NumPy backend beside one that nobody has."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("CONVSUITE_ASV_SUITE", "problems_default")
    monkeypatch.setenv("CONVSUITE_ASV_BACKENDS", "numpy_im2col, nobody")
    monkeypatch.delenv("CONVSUITE_ASV_DEVICE", raising=False)
    from benchmarks import _suite

    return _suite


@pytest.fixture
def engine(suite: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of an engine that has a time for everything but the first case."""
    calls: list[Any] = []

    def asv_samples(ids: Any, backends: Any, passes: Any, **how: Any) -> Any:
        calls.append((tuple(ids), tuple(backends), tuple(passes), how))
        times = {key: Timed((1e-3,), 4) for key in product(ids, passes, backends)}
        return times | {(ids[0], p, b): "a wrong answer" for p in passes for b in backends}

    monkeypatch.setattr(suite, "asv_samples", asv_samples)
    return calls


def test_one_call_for_all(suite, engine):
    """The engine is asked once for all that is there; what is not there has a reason."""
    (samples,) = suite.benchmarks("conv", "forward").values()
    results = samples(quick=True)
    ((ids, backends, passes, how),) = engine
    assert len(ids) == 21
    assert ids[0].startswith("conv/problems_default/")
    assert (backends, passes, how) == (("numpy_im2col",), ("forward",), {"device": "cpu", "quick": True})
    assert set(results) == set(product(*samples.params))
    first, second = samples.params[0][:2]
    assert results[first, "numpy_im2col", "forward", "cpu"] == "a wrong answer"
    assert results[second, "numpy_im2col", "forward", "cpu"] == Timed((1e-3,), 4)
    assert "nobody" in results[second, "nobody", "forward", "cpu"]


def test_a_pass_that_a_case_lacks(suite, engine):
    """It is a skip with a reason, not a hole; one that no case has is no parameter."""
    samples = suite.benchmarks("conv", "grad_input", "grad_weight", "grad_bias")["samples_passes"]
    assert samples.params[2] == ["grad_input", "grad_weight"]
    lacking = [v for k, v in samples(quick=False).items() if k[0] == "large_padding" and isinstance(v, str)]
    assert all("nobody" in reason or "has no" in reason for reason in lacking)


def test_bounds(suite, monkeypatch):
    """A suite that is too large for one benchmark goes on in the next, and nothing is left out."""
    monkeypatch.setenv("CONVSUITE_ASV_BACKENDS", "a,b,c,d,e")
    monkeypatch.setenv("CONVSUITE_ASV_DEVICE", "cpu,cuda")
    found = suite.benchmarks("conv", "grad_input", "grad_weight")
    assert list(found) == ["samples_passes", "samples_passes_2"]
    assert [b.__name__ for b in found.values()] == list(found)
    sizes = [[len(values) for values in b.params] for b in found.values()]
    assert [cases for cases, *_ in sizes] == [15, 6]
    assert all(max(size) <= 30 for size in sizes)
    assert len({b.version for b in found.values()}) == 2


def test_what_starts_a_new_series(suite):
    """The version follows what is timed of the cases, and nothing else."""
    from dataclasses import replace

    (timing,) = suite._timings("conv", ("forward",))
    case, *rest = timing.cases
    other = {"title": {"source": "elsewhere", "tags": ("x",)}, "shape": {"input_shape": (2, *case.input_shape[1:])}}
    versions = {k: replace(timing, cases=(replace(case, **v), *rest)).version for k, v in other.items()}
    assert versions["title"] == timing.version != versions["shape"]


def test_another_commits_case(suite, engine, monkeypatch):
    """Where the convsuite that is installed knows another case by the name, it is not timed."""
    from dataclasses import replace

    (timing,) = suite._timings("conv", ("forward",))
    first = replace(timing.cases[0], seed=7)
    changed = replace(timing, cases=(first, *timing.cases[1:]))
    reasons = {v for k, v in changed.measure(quick=False).items() if k[:2] == (timing.params[0][0], "numpy_im2col")}
    assert len(reasons) == 1
    assert "is another" in reasons.pop()
    assert first.id not in engine[0][0]


def test_operations_without_cases_have_no_benchmark(suite):
    assert suite.benchmarks("max_pool", "forward") == {}


def test_a_suite_that_is_not_there(suite, monkeypatch):
    monkeypatch.setenv("CONVSUITE_ASV_SUITE", "bench_smokes")
    with pytest.raises(ValueError, match=r"no operation .* bench_smokes\.yaml"):
        suite.benchmarks("conv", "forward")


def test_a_pass_that_is_none(suite, monkeypatch):
    monkeypatch.setenv("CONVSUITE_ASV_PASSES", "forward,backward")
    with pytest.raises(ValueError, match="CONVSUITE_ASV_PASSES: backward is none of forward"):
        suite.benchmarks("conv", "forward", "grad_input")


def test_passes_that_are_asked_for(suite, monkeypatch):
    monkeypatch.setenv("CONVSUITE_ASV_PASSES", "forward")
    (samples,) = suite.benchmarks("conv", "forward", "grad_input").values()
    assert samples.params[2] == ["forward"]
