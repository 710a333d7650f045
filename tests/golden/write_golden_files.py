"""Writes this version's golden files: a model, a checkpoint, and what they compute. Run once a version.

    python tests/golden/write_golden_files.py VERSION

Files of earlier versions are never written again: that they load is what tests/test_golden_files.py is for.
"""

import os
import sys
from pathlib import Path

import numpy as np

from diabolo import AdamW, AutoEncoder, CosineDecay

FOLDER = Path(__file__).parent


def main(version: str) -> None:
    """Write three files, none of which may be there already."""
    os.chdir(FOLDER)  # so that no path of this machine comes into a file
    paths = [
        Path(f"{version}-{name}") for name in ("model.safetensors", "checkpoint.safetensors", "results.npz")
    ]
    if any(path.exists() for path in paths):
        sys.exit(f"there are golden files of {version} already")
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


if __name__ == "__main__":
    main(sys.argv[1])
