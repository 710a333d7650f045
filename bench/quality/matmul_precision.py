"""Test loss of autoencoders on MNIST that multiply in float32, in three products of bfloat16, and in one.

Pixels in [0, 1], binary cross-entropy, relu but for a linear code and the output, Adam at 1e-3, batches of
256. Forms that this machine does not compute faster than float32 are computed all the same, slowly: the
figures are those of every machine.
"""

import os
import statistics

from mnist import Digits, load, parser, run_seeds, summary
from mnist_autoencoders import mean_loss

from diabolo import AutoEncoder

CASES = {
    "784-64-784": (64, ()),
    "784-512-256-64-256-512-784": (64, (512, 256)),
    "784-1000-500-250-30-250-500-1000-784": (30, (1000, 500, 250)),
}
PRECISIONS = ("float32", "bfloat16_3x", "bfloat16")


def row(name: str, digits: Digits, epochs: int, seeds: list[int], n_jobs: int | None, verbose: int) -> str:
    """Return a row of the table: the mean of all seeds in each precision, and the range of float32's."""
    components, widths = CASES[name]
    cells = []
    exact = 0.0
    for precision in PRECISIONS:

        def make(seed: int, precision: str = precision) -> AutoEncoder:
            return AutoEncoder(
                components,
                hidden_layer_sizes=widths,
                loss="binary_crossentropy",
                epochs=epochs,
                random_state=seed,
                matmul_precision=precision,
                n_jobs=n_jobs,
                verbose=verbose,
            )

        runs = run_seeds(f"{name}, {precision}", make, digits, mean_loss, seeds)
        mean = statistics.fmean(run.error for run in runs)
        exact = exact or mean
        cells.append(summary(runs, 5) if precision == "float32" else f"{mean:.5f} ({mean / exact - 1:+.2%})")
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    options_parser = parser("Test loss on MNIST by the precision of products.", epochs=20)
    options_parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    options = options_parser.parse_args()
    os.environ["DIABOLO_FORCE_MATMUL_PRECISION"] = "1"
    digits = load(options.data)
    o = options
    rows = [row(name, digits, o.epochs, o.seeds, o.n_jobs, o.verbose) for name in o.cases]
    print("\n| network | " + " | ".join(PRECISIONS) + " |", "|---|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
