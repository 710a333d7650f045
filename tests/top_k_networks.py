"""Networks around a top-k code, in the core and for the oracle, for the tests of its options."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

import reference
import reference_sparse
from core_helpers import forced_isa
from diabolo import _core
from reference import Layer

FEATURES, HIDDEN, UNITS = 37, 45, 83
FEW, MANY = 5, 7  # active units: few enough that neighbouring layers work on lists, and too many for that


@dataclasses.dataclass(frozen=True)
class TopKNetwork:
    """FEATURES - (HIDDEN -) UNITS - (HIDDEN -) FEATURES, of whose UNITS the `k` greatest are kept."""

    k: int = FEW
    deep_encoder: bool = False
    deep_decoder: bool = False
    tied: bool = False
    code_activation: str = "identity"
    unit_norm: bool = False
    auxiliary: tuple[int, float, int] = (0, 0.0, 1)  # k, weight, rows after which a unit is dead

    @property
    def encoder(self) -> list[Layer]:
        code = Layer("encoder.1" if self.deep_encoder else "encoder.0", self.code_activation)
        return [Layer("encoder.0", "tanh"), code] if self.deep_encoder else [code]

    @property
    def decoder(self) -> list[Layer]:
        mirrored = [layer.name for layer in reversed(self.encoder)] if self.tied else [None, None]
        if not self.deep_decoder:
            return [Layer("decoder.0", "identity", mirrored[0])]
        return [Layer("decoder.0", "tanh", mirrored[0]), Layer("decoder.1", "identity", mirrored[1])]

    @property
    def of_code(self) -> tuple[str, int]:
        """The kernel that has the code units' vectors in the decoder, and the axis that counts units."""
        return (f"{self.encoder[-1].name}.kernel", 1) if self.tied else ("decoder.0.kernel", 0)

    def model(self, isa: str | None = None) -> _core.Model:
        """Return a model whose biases are not 0."""
        widths = [FEATURES, *[HIDDEN] * self.deep_encoder, UNITS, *[HIDDEN] * self.deep_decoder, FEATURES]
        dense = [
            _core.Dense(
                layer.name,
                widths[i],
                widths[i + 1],
                layer.activation,
                "glorot_uniform",
                layer.tied_to or "",
                unit_norm=self.unit_norm and layer.name == "decoder.0",
            )
            for i, layer in enumerate([*self.encoder, *self.decoder])
        ]
        code = _core.TopK(UNITS, self.k, *self.auxiliary)
        half = len(self.encoder)
        with forced_isa(isa):
            model = _core.Model([*dense[:half], code, *dense[half:]], half + 1, 1)
        random = np.random.default_rng(0)
        return model.with_weights(
            {
                name: w + 0.1 * random.normal(size=w.shape).astype(np.float32) * name.endswith(".bias")
                for name, w in model.get_weights().items()
            }
        )

    def activities(self, weights: reference.Weights, x: npt.NDArray[Any]) -> reference.Array:
        """Return the code before all but the greatest are left out, (rows, UNITS)."""
        return reference.forward(self.encoder, weights, x).y[self.encoder[-1].name]

    def kept(self, weights: reference.Weights, x: npt.NDArray[Any]) -> reference.Array:
        """Return where its greatest stand, (rows, UNITS)."""
        return reference_sparse.kept_by_top_k(self.activities(weights, x), self.k)


def widened(weights: dict[str, npt.NDArray[np.float32]]) -> reference.Weights:
    return {name: w.astype(np.float64) for name, w in weights.items()}
