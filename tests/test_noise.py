"""The core's random numbers against the oracle's, on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest

import reference_noise
from core_helpers import FUSED_ISAS, ISAS
from diabolo import _core


def test_oracle_gives_the_published_numbers() -> None:
    """The known answers that come with the authors' Random123 library."""
    counters = np.array([[0] * 4, [0xFFFFFFFF] * 4], dtype=np.uint64)
    assert [f"{w:08x}" for w in reference_noise.philox(counters[0], 0)] == [
        "6627e8d5",
        "e169c58d",
        "bc57ac4c",
        "9b00dbd8",
    ]
    assert [f"{w:08x}" for w in reference_noise.philox(counters[1], 2**64 - 1)] == [
        "408f276d",
        "41c83b0e",
        "a20bc7c6",
        "6d5451fd",
    ]


@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (2, 16), (5, 17), (4, 64), (3, 65), (7, 200)])
@pytest.mark.parametrize("isa", ISAS)
def test_normal_deviates(isa: str, shape: tuple[int, int]) -> None:
    seed, step = 0x123456789ABCDEF0, 0xFEDCBA98
    word = reference_noise.words(*shape, seed, reference_noise.INFERENCE, step)
    got = _core.normal_noise(*shape, seed, step, isa)
    np.testing.assert_allclose(got, reference_noise.normal(word), rtol=1e-6)


def test_normal_deviates_are_normal_and_the_same_everywhere() -> None:
    drawn = {isa: _core.normal_noise(1000, 1000, 1, 0, isa) for isa in ISAS}
    for isa, noise in drawn.items():
        word = reference_noise.words(1000, 1000, 1, reference_noise.INFERENCE)
        np.testing.assert_allclose(noise, reference_noise.normal(word), rtol=2e-6)
        for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
            spread = np.sqrt([1, 2, 15, 96][power - 1] / noise.size)
            assert abs(np.mean(noise.astype(np.float64) ** power) - moment) < 5 * spread, (isa, power)
        assert isa not in FUSED_ISAS or noise.tobytes() == drawn[FUSED_ISAS[0]].tobytes()
