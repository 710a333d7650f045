"""Writes what a run of the fuzz target begins with: small models of every kind, and the tests' hostile files.

python tests/fuzz/write_corpus.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from diabolo import AutoEncoder
from every_kind import KINDS, trained
from hostile_models import HOSTILE_MODELS
from test_model_file import hostile_cases


def main(folder: Path) -> None:
    """Write the files; hostile ones that are long say nothing that a short one could not."""
    folder.mkdir(parents=True, exist_ok=True)
    X = np.random.default_rng(0).random((60, 3))
    for number, kind in enumerate(KINDS):
        trained(kind, X).save(folder / f"kind-{number}")
    AutoEncoder(2, epochs=1, checkpoint=folder / "checkpoint").fit(X)
    hostile = [content for content, _ in hostile_cases().values()]
    for number, content in enumerate([*hostile, *HOSTILE_MODELS.values()]):
        if len(content) < 2000:
            (folder / f"hostile-{number}").write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
