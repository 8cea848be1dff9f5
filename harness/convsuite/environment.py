"""The record of where a run was made: what may explain a difference between two of them."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Terraform's variables, too, begin with TF_, and some of them are secrets
_TENSORFLOW = (
    "AUTO", "CPP_", "CPU_", "CUDA", "CUDNN", "DETERMINISTIC", "DISABLE", "ENABLE", "FORCE", "FP16", "GPU_", "INTE",
    "INTR", "MKL", "NUM_", "ONEDNN", "OVERRIDE", "USE_", "XLA",
)  # fmt: skip
_VARIABLES = (
    *(f"TF_{word}" for word in _TENSORFLOW),
    "XLA_",
    "JAX_",
    "KERAS_",
    "TORCH",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "DNNL_",
    "ONEDNN_",
    "ATEN_CPU",
    "NPY_DISABLE",
    "CUDA_VISIBLE",
    "NVIDIA_TF32",
)
# what holds a library to other kernels than the best that it has for this processor
_KERNELS = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE", "TF_ENABLE_ONEDNN_OPTS", "XLA_FLAGS",
)  # fmt: skip
# flags that select a kernel somewhere
_ISA = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "avx512_fp16",
    "amx_tile", "amx_int8", "amx_bf16", "amx_fp16", "neon", "asimd", "asimdhp", "bf16", "i8mm", "sve", "sve2", "sme",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """One machine, as it was during a run."""

    platform: str
    python: str
    numpy: str
    convsuite: str
    cpu: str
    isa: tuple[str, ...]
    cores: int
    threads: int
    variables: tuple[tuple[str, str], ...]
    cases_revision: str  # git revision of the case files, with "+dirty" where they were changed; "" outside git

    @property
    def kernels(self) -> tuple[str, ...]:
        """Return the variables, `NAME=value`, that choose a library's kernels for it: they decide how fast it is."""
        return tuple(f"{name}={value}" for name, value in self.variables if name in _KERNELS)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags as Linux names them; empty where the platform does not tell."""
    return frozenset(_cpuinfo("flags").split() or _cpuinfo("Features").split())


def observe(threads: int, cases: Path | None) -> Environment:
    """Record this machine; `cases` is the folder whose git revision counts.

    The variables are those that the workers start with: ours, with what sets their number of threads. What a backend
    adds for itself is in its own record.
    """
    from importlib.metadata import version

    from convsuite.lane import thread_environment

    flags = cpu_flags()
    inherited = {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}
    return Environment(
        platform=platform.platform(),
        python=platform.python_version(),
        numpy=version("numpy"),
        convsuite=version("convsuite"),
        cpu=_cpuinfo("model name") or platform.processor() or platform.machine(),
        isa=tuple(flag for flag in _ISA if flag in flags),
        cores=cores(),
        threads=threads,
        variables=tuple(sorted((inherited | thread_environment(threads)).items())),
        cases_revision=_git_revision(cases) if cases else "",
    )


def _cpuinfo(key: str) -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")
    except OSError:
        return ""


def _git_revision(path: Path) -> str:
    """Return the revision of the case files, or "" where git knows nothing of them (an ignored .venv, say)."""
    folder = path if path.is_dir() else path.parent

    def git(*args: str) -> str:
        return subprocess.run(
            ("git", "-C", str(folder), *args), capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ".")
        if not changed and not git("ls-files", "--", "."):
            return ""
        return git("rev-parse", "--short=12", "HEAD") + ("+dirty" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return ""
