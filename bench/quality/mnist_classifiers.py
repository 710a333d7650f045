"""Errors of classifiers on MNIST whose encoder was pretrained without labels, beside published ones.

All 60000 training images are pretrained and fine-tuned on; the test images have no say in anything. The
figure is the part of the 10000 test images that is misclassified by the weights after the last epoch.

Settings: relu units; pixels in [0, 1]; cross-entropy of the reconstruction, Adam, cosine schedules. What the
literature did by stopping early on a validation set is done here by AdamW's weight decay and by the end of
the cosine. "keep_noise" masks pixels in the fine-tuning too; the published networks saw clean rows there.
"""

import argparse
import functools
import statistics
from typing import Any, NamedTuple

import numpy as np
from mnist import Float32Array, Labels, load, load_labels, parser, run_seeds, summary

from diabolo import (
    AdamW,
    AutoEncoder,
    AutoEncoderClassifier,
    ContractiveAutoEncoder,
    CosineDecay,
    DenoisingAutoEncoder,
    StackedAutoEncoder,
)


class Case(NamedTuple):
    published: str
    reach: str
    autoencoder: Any
    classifier: dict[str, Any]


UNITS = 1000
PIXELS: dict[str, Any] = {
    "activation": "relu",
    "code_activation": "relu",
    "loss": "binary_crossentropy",
    "batch_size": 128,
    "learning_rate": 1e-3,
    "schedule": CosineDecay(),
}
FINE_TUNING: dict[str, Any] = {
    "optimizer": AdamW(weight_decay=0.05),
    "learning_rate": 1e-3,
    "schedule": CosineDecay(),
    "batch_size": 128,
}

CASES = {
    "autoencoder, weight decay, 1000": Case(
        "1.68 % (Rifai et al. 2011)", "-", AutoEncoder(UNITS, l2=1e-6, **PIXELS), FINE_TUNING
    ),
    "contractive, 1000": Case(
        "1.14 % (Rifai et al. 2011)",
        "1.35 %",
        ContractiveAutoEncoder(
            UNITS,
            contraction_weight=1e-4,
            **{**PIXELS, "activation": "sigmoid", "code_activation": "sigmoid"},
        ),
        FINE_TUNING,
    ),
    "denoising, 1000": Case(
        "1.18 % (Rifai et al. 2011)",
        "1.35 %",
        DenoisingAutoEncoder(UNITS, corruption="masking", noise_fraction=0.25, **PIXELS),
        {**FINE_TUNING, "keep_noise": True},
    ),
    "stacked denoising, 3 x 1000": Case(
        "1.28 % (Vincent et al. 2010)",
        "1.40 %",
        StackedAutoEncoder(
            UNITS,
            hidden_layer_sizes=(UNITS, UNITS),
            pretraining="denoising",
            pretraining_parameters=[{"noise_fraction": fraction} for fraction in (0.1, 0.2, 0.3)],
            **PIXELS,
        ).set_params(epochs=0, schedule="constant"),
        FINE_TUNING,
    ),
}


def classifier(case: Case, options: argparse.Namespace, seed: int) -> AutoEncoderClassifier:
    pretraining = {"n_jobs": options.n_jobs, "verbose": options.verbose, "random_state": seed}
    stacked = isinstance(case.autoencoder, StackedAutoEncoder)
    pretraining["pretraining_epochs" if stacked else "epochs"] = options.pretraining_epochs
    return AutoEncoderClassifier(
        case.autoencoder.set_params(**pretraining),
        epochs=options.epochs,
        random_state=seed,
        n_jobs=options.n_jobs,
        verbose=options.verbose,
        **case.classifier,
    )


def main() -> None:
    options_parser = parser("Errors of pretrained classifiers on MNIST.", epochs=30)
    options_parser.add_argument("--pretraining-epochs", type=int, default=20, help="default %(default)s")
    options_parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = options_parser.parse_args()
    digits, labels = load(options.data), load_labels(options.data)
    lines = []
    for name in options.cases:
        case = CASES[name]
        runs = run_seeds(
            name,
            functools.partial(classifier, case, options),
            digits,
            functools.partial(error_rate, labels),
            options.seeds,
            labels=labels,
        )
        seconds = statistics.fmean(run.seconds for run in runs)
        lines.append(f"| {name} | {summary(runs, 2)} % | {case.reach} | {case.published} | {seconds:.0f} |")
    print(
        "\n| encoder | test error | to reach | published | seconds a fit |", "|---|---|---|---|---|", sep="\n"
    )
    print("\n".join(lines))


def error_rate(labels: Labels, estimator: AutoEncoderClassifier, X: Float32Array) -> float:
    """Return the percentage of wrong answers."""
    return float(100 * np.mean(estimator.predict(X) != labels.test))


if __name__ == "__main__":
    main()
