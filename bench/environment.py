"""The switches that libraries read at start: how many threads they use, and which instruction set at most.

They are set for all sides alike, in the environment of their processes, and recorded with the results.
"""

import importlib

# Each library's own name for it. OpenBLAS, MKL, oneDNN and OpenMP serve NumPy, scikit-learn and PyTorch. XLA
# takes the size of its pool of threads from NPROC, else from the CPUs that it may run on.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")

ISAS = ("avx2",)


def environment(threads: int, isa: str | None) -> dict[str, str]:
    """Return the variables for a process of so many threads; `isa` is one of ISAS or None for the best."""
    variables = dict.fromkeys(_THREADS, str(threads))
    xla = []
    if threads == 1:
        xla.append("--xla_cpu_multi_thread_eigen=false")
    if isa == "avx2":
        variables |= {
            "DIABOLO_ISA": "avx2",
            "OPENBLAS_CORETYPE": "Haswell",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "ATEN_CPU_CAPABILITY": "avx2",
            "TORCHINDUCTOR_CPP_MARCH": "haswell",
            "NPY_DISABLE_CPU_FEATURES": " ".join(_numpy_features_beyond_avx2()),
        }
        xla.append("--xla_cpu_max_isa=AVX2")
    if xla:
        variables["XLA_FLAGS"] = " ".join(xla)
    # Not of speed: the CPU among JAX's platforms, JAX under Keras, and fewer messages.
    return variables | {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "jax", "TF_CPP_MIN_LOG_LEVEL": "2"}


def _numpy_features_beyond_avx2() -> list[str]:
    try:
        core = importlib.import_module("numpy._core._multiarray_umath")
    except ImportError:  # NumPy 1
        core = importlib.import_module("numpy.core._multiarray_umath")
    return [name for name in core.__cpu_dispatch__ if name.startswith(("AVX512", "X86_V4"))]
