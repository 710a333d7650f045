"""What the tests of the core share: instruction sets, networks, trainers, and the C++ test programs."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import threadpoolctl

import reference
from diabolo import _core

# The oracle's matrices are small: BLAS's threads would only wait for each other, and for the core's.
threadpoolctl.threadpool_limits(limits=1, user_api="blas")

Float32Array = npt.NDArray[np.float32]

# What a machine of this kind can have, slowest first, and what this one has.
X86_ISAS = ["baseline", "avx2", "avx512", "avx512_bf16"]
KNOWN_ISAS = ["neon"] if platform.machine() in ("aarch64", "arm64") else X86_ISAS
TILE_ISAS = ["amx", "amx_emulated"]  # as another, but for products of bfloat16
ISAS = _core.available_isas()
FUSED_ISAS = [isa for isa in ISAS if isa != "baseline"]  # with fused multiply-add: these agree bit for bit
# In no list, but there for who names it: a model of the tile unit under the best of these.
EMULATED_ISAS = ["amx_emulated"] if FUSED_ISAS else []

ACTIVATIONS = list(reference.ACTIVATIONS)
LOSSES = list(reference.LOSSES)

# Around the widths of registers (4, 8, 16), panels (16, 32, 48, 64) and units of weights (48).
AWKWARD_WIDTHS = [1, 2, 15, 16, 17, 31, 33, 47, 48, 49, 63, 64, 65, 97]
# Around the height of a tile and the block of 256 rows, and several blocks.
AWKWARD_ROWS = [1, 2, 13, 255, 256, 257, 300, 700]

UNIT_ROUNDOFF = 2.0**-24  # of float32


@contextlib.contextmanager
def forced_isa(isa: str | None) -> Iterator[None]:
    """Let models built inside use this instruction set; None leaves the choice alone."""
    if isa is None:
        yield
        return
    before = os.environ.get("DIABOLO_ISA")
    os.environ["DIABOLO_ISA"] = isa
    try:
        yield
    finally:
        if before is None:
            del os.environ["DIABOLO_ISA"]
        else:
            os.environ["DIABOLO_ISA"] = before


@dataclasses.dataclass(frozen=True, eq=False)
class Architecture:
    """A dense network; `widths` has one entry more than `activations`.

    A tied one mirrors itself: each decoder layer uses the transposed kernel of the encoder layer it mirrors.
    """

    widths: Sequence[int]
    activations: Sequence[str]
    tied: bool = False
    initializer: str = "glorot_uniform"
    products: str = "float32"
    layers: list[reference.Layer] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        count = len(self.activations)
        assert len(self.widths) == count + 1
        half = self.code_layers
        names = [f"encoder.{i}" for i in range(half)] + [f"decoder.{i}" for i in range(count - half)]
        layers = [
            reference.Layer(name, activation, names[count - 1 - i] if self.tied and i >= half else None)
            for i, (name, activation) in enumerate(zip(names, self.activations, strict=True))
        ]
        object.__setattr__(self, "layers", layers)

    @property
    def code_layers(self) -> int:
        return len(self.activations) // 2

    @property
    def features(self) -> int:
        return self.widths[0]

    def specs(self) -> list[_core.Dense]:
        return [
            _core.Dense(
                layer.name,
                inputs,
                outputs,
                layer.activation,
                self.initializer,
                layer.tied_to or "",
                products=self.products,
            )
            for layer, inputs, outputs in zip(self.layers, self.widths, self.widths[1:], strict=False)
        ]

    def model(self, isa: str | None = None, seed: int = 1) -> _core.Model:
        """Return a model as `fit` would start with."""
        with forced_isa(isa):
            return _core.Model(self.specs(), self.code_layers, seed)

    def trained_looking_model(self, isa: str | None = None, seed: int = 1) -> _core.Model:
        """Return a model none of whose numbers is special: biases are not 0, slopes all differ."""
        model = self.model(isa, seed)
        random = np.random.default_rng(seed)
        weights = {}
        for name, shape in model.parameter_shapes().items():
            if name.endswith(".kernel"):
                values = random.normal(size=shape) * math.sqrt(2.0 / sum(shape))
            elif name.endswith(".bias"):
                values = 0.1 * random.normal(size=shape)
            else:
                values = 0.25 + 0.1 * random.normal(size=shape)
            weights[name] = values.astype(np.float32)
        return model.with_weights(weights)


def hourglass(
    widths: Sequence[int], activation: str = "tanh", loss: str = "mse", tied: bool = False
) -> Architecture:
    """Return widths down to the code and back up; at the end a sigmoid where `loss` needs it."""
    mirrored = [*widths, *reversed(widths[:-1])]
    last = "sigmoid" if loss == "binary_crossentropy" else activation
    return Architecture(mirrored, [activation] * (len(mirrored) - 2) + [last], tied)


def data(rows: int, features: int, seed: int = 0) -> Float32Array:
    """Return numbers in [0, 1), which every loss takes."""
    return np.random.default_rng(seed).random((rows, features)).astype(np.float32)


def trainer(
    model: _core.Model,
    x: npt.NDArray[Any] | _core.Rows,
    validation: npt.NDArray[Any] | _core.Rows | None = None,
    **changes: Any,
) -> _core.Trainer:
    """Return a trainer with the settings that most tests want."""
    settings: dict[str, Any] = {
        "loss": "mse",
        "sum_features": False,
        "stored_only": False,
        "batch_size": 256,
        "epochs": 1,
        "learning_rate": 1e-3,
        "schedule": _core.Schedule.constant(),
        "rule": _core.UpdateRule.adam(0.9, 0.999, 1e-8, 0.0),
        "l1": 0.0,
        "l2": 0.0,
        "clip_norm": 0.0,
        "shuffle": "rows",
        "seed": 3,
        "threads": 2,
        "updates_before": 0,
        "targets": None,
        "validation_targets": None,
    }
    assert settings.keys() >= changes.keys()
    return _core.Trainer(
        model, rows_of(x), None if validation is None else rows_of(validation), **{**settings, **changes}
    )


def rows_of(x: npt.NDArray[Any] | _core.Rows) -> _core.Rows:
    """Return the rows of an array; rows as they are."""
    return x if isinstance(x, _core.Rows) else _core.Rows(x)


def completed_weights(of: _core.Trainer) -> dict[str, Float32Array]:
    """Return the weights after the last completed epoch."""
    model = of.completed_model()
    assert model is not None
    return model.get_weights()


def digest(weights: Mapping[str, Float32Array]) -> str:
    """Return a short name for these weights: the same only for the same bits."""
    state = hashlib.sha256()
    for name in sorted(weights):
        state.update(name.encode())
        state.update(np.ascontiguousarray(weights[name]).tobytes())
    return state.hexdigest()[:16]


def preactivations(
    architecture: Architecture, weights: Mapping[str, Float32Array], x: Float32Array, isa: str | None = None
) -> dict[str, Float32Array]:
    """Return z = x W + b of every layer in float32, bit for bit what the activations get.

    It is the output of the same network but for an identity in the layer's place.
    """
    result = {}
    for i, layer in enumerate(architecture.layers):
        activations = list(architecture.activations)
        activations[i] = "identity"
        twin = dataclasses.replace(architecture, activations=activations)
        shared = {name: w for name, w in weights.items() if name != f"{layer.name}.slope"}
        model = twin.model(isa).with_weights(shared)
        result[layer.name] = model.layer_output(_core.Rows(x), i, 1)
    return result


def relative_error(got: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Return the norm of the difference relative to that of `expected`; both zero is no error."""
    error = float(np.linalg.norm(np.asarray(got, dtype=np.float64) - expected))
    return 0.0 if error == 0.0 else error / float(np.linalg.norm(expected) or np.finfo(np.float64).tiny)


def float32_branches(
    architecture: Architecture, model: _core.Model, x: Float32Array, loss: str, isa: str | None = None
) -> reference.Branches:
    """Return which pieces of its piecewise functions a float32 run takes on the rows of `x`."""
    activations = preactivations(architecture, model.get_weights(), x, isa)
    activations["output"] = model.reconstruct(_core.Rows(x), 1)
    return reference.branches_of(architecture.layers, activations, x, loss)


# ------------------------------------------------------------------------------------------------------------
# The C++ test programs
# ------------------------------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[1]

# Kept between sessions, so that only what changed is compiled again.
BUILD_FOLDER = Path(os.environ.get("DIABOLO_TEST_BUILD_FOLDER", ROOT / "build" / "test-programs"))

# The tools of the environment that runs the tests come first: pip installs cmake and ninja there.
TOOL_PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

AARCH64_COMPILER = "aarch64-linux-gnu-g++"
AARCH64_RUNNER = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
AARCH64_OPTIONS = [
    "-DCMAKE_SYSTEM_NAME=Linux",
    "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
    f"-DCMAKE_CXX_COMPILER={AARCH64_COMPILER}",
]


def require_tools(*names: str) -> None:
    """Skip the test unless these programs are here."""
    missing = [name for name in names if shutil.which(name, path=TOOL_PATH) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


def run(command: Sequence[str | Path], timeout: float = 120.0, **environment: str) -> str:
    """Run a command to its successful end, with this added to the environment; return what it printed."""
    finished = attempt(command, timeout, **environment)
    assert finished.returncode == 0, f"{command}: {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def attempt(
    command: Sequence[str | Path], timeout: float = 120.0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PATH": TOOL_PATH, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def cmake_generator() -> str:
    """Return the faster generator of those that are here."""
    ninja = shutil.which("ninja", path=TOOL_PATH) is not None
    require_tools("cmake", "ninja" if ninja else "make")
    return "Ninja" if ninja else "Unix Makefiles"


@functools.cache
def configured(name: str, *options: str) -> Path:
    """Return a build folder of this project."""
    generator = cmake_generator()
    folder = BUILD_FOLDER / f"{name} {generator}".lower().replace(" ", "-")
    with locked(folder):
        run(["cmake", "-G", generator, "-S", ROOT, "-B", folder, *options])
    return folder


@functools.cache
def built(folder: Path, *targets: str) -> Path:
    """Build these targets, by default all, in a configured folder; return the folder."""
    which = ["--target", *targets] if targets else []
    with locked(folder):
        run(["cmake", "--build", folder, "--parallel", "2", *which], timeout=1800.0)
    return folder


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other test sessions out of a build folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def native_folder() -> Path:
    """Return the build folder of the library and its test programs for this machine."""
    require_tools("c++")
    return configured("native", "-DDIABOLO_TEST_PROGRAMS=ON", "-DDIABOLO_PYTHON=OFF")


def aarch64_folder() -> Path:
    """Return the same for aarch64, to be run by an emulator."""
    require_tools(AARCH64_COMPILER)
    options = ["-DDIABOLO_TEST_PROGRAMS=ON", "-DDIABOLO_PYTHON=OFF", *AARCH64_OPTIONS]
    return configured("aarch64", *options)


def native_program(name: str) -> Path:
    """Return a test program, built."""
    # All at once: they are linked to the same library, and the tests want nearly all of them.
    return built(native_folder()) / "tests" / "cpp" / name


def aarch64_program(name: str) -> Path:
    """Return a test program, built for aarch64."""
    return built(aarch64_folder(), "train_hash", "math_accuracy") / "tests" / "cpp" / name
