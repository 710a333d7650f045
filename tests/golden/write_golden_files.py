"""Writes this version's golden files: a model, a checkpoint, one of each kind, and what they compute.

    python tests/golden/write_golden_files.py VERSION

Run it before a release, and when there is a new kind. What is there already is never written again: that it
loads is what tests/test_golden_files.py is for.
"""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from diabolo import AdamW, AutoEncoder, CosineDecay, SparseAutoEncoder

FOLDER = Path(__file__).parent


def write_kinds(version: str) -> None:
    """Write a file for each kind, and what it computes."""
    sys.path.insert(0, str(FOLDER.parent))
    from every_kind import KINDS, METHODS, file_name, trained

    X = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    folder = Path(f"{version}-kinds")
    folder.mkdir(exist_ok=True)
    for kind in KINDS:
        path = folder / f"{file_name(kind)}.safetensors"
        if path.exists():
            continue
        estimator = trained(kind, X)
        estimator.save(path)
        results = {
            name: getattr(estimator, method)(X)
            for name, method in METHODS.items()
            if hasattr(estimator, method)
        }
        np.savez(path.with_suffix(".npz"), X=X, **results)


def write_model_and_checkpoint(version: str) -> None:
    """Write a model few of whose parameters are defaults, its run's checkpoint, and what it computes."""
    paths = [
        Path(f"{version}-{name}") for name in ("model.safetensors", "checkpoint.safetensors", "results.npz")
    ]
    if any(path.exists() for path in paths):
        return
    model_path, checkpoint_path, results_path = paths
    X = np.random.default_rng(0).random((20, 5)).astype(np.float32)
    settings = {
        "n_components": 2,
        "hidden_layer_sizes": (4,),
        "activation": "prelu",
        "tied_weights": True,
        "loss": "huber",
        "optimizer": AdamW(weight_decay=0.1),
        "learning_rate": 0.01,
        "schedule": CosineDecay(warmup_epochs=1),
        "epochs": 4,
        "batch_size": 7,
        "scale": "standard",
        "validation_fraction": 0.2,
        "early_stopping": True,
        "random_state": 1,
    }
    model = AutoEncoder(**settings).fit(X)
    model.save(model_path)
    AutoEncoder(**settings, checkpoint=checkpoint_path).fit(X)
    np.savez(
        results_path,
        X=X,
        codes=model.transform(X),
        reconstructions=model.reconstruct(X),
        losses=model.reconstruction_error(X, metric="loss"),
    )


class _CtrlC:
    """A callback that behaves as if Ctrl-C came after the second epoch."""

    def on_epoch_end(self, state: Any) -> None:
        if state.epoch == 2:
            raise KeyboardInterrupt


def write_checkpoint_of_half_a_run(version: str) -> None:
    """Write a checkpoint in which layers keep something, and what the whole run computes."""
    checkpoint_path, results_path = (
        Path(f"{version}-half-a-run.{suffix}") for suffix in ("safetensors", "npz")
    )
    if checkpoint_path.exists():
        return
    X = np.random.default_rng(0).random((20, 5)).astype(np.float32)
    sparse = SparseAutoEncoder(
        6,
        sparsity="kl",
        sparsity_weight=0.1,
        epochs=5,
        batch_size=7,
        learning_rate=0.1,
        shuffle=False,  # a later version may shuffle otherwise
        random_state=1,
    )
    sparse.fit(X)
    np.savez(results_path, X=X, codes=sparse.transform(X), losses=sparse.history_["loss"])
    sparse.set_params(checkpoint=checkpoint_path, callbacks=[_CtrlC()])
    with contextlib.suppress(KeyboardInterrupt):
        sparse.fit(X)


def main(version: str) -> None:
    """Write what is missing."""
    os.chdir(FOLDER)  # so that no path of this machine comes into a file
    write_model_and_checkpoint(version)
    write_checkpoint_of_half_a_run(version)
    write_kinds(version)


if __name__ == "__main__":
    main(sys.argv[1])
