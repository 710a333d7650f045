"""PyOD as a peer: `AutoEncoder`'s own loop over its own data loader, an epoch a call.

Batch normalisation, dropout, weight decay and scaling are off, Adam is the fused one, and the criterion is
binary cross-entropy on logits, so that the work is the others'. It has no public way to a reconstruction.
"""

import pyod
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.utils.torch_utility import TorchDataset

from data import SEED, Array, initial_weights
from peers import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Reconstruct, Task

DIFFERS = ""

torch.set_flush_denormal(True)

_FORMS = {"eager": False, "use_compile": True}


class RecordingAutoEncoder(AutoEncoder):  # type: ignore[misc]
    """Keeps the losses of the batches, which PyOD only prints."""

    def training_forward(self, batch_data: torch.Tensor) -> float:
        loss: float = super().training_forward(batch_data)
        self.losses.append(loss)
        return loss


class PyodTrainer:
    def __init__(self, form: str, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.task, self.compiled = task, _FORMS[form]

    def start(self, X: Array, *, shuffle: bool) -> None:
        middle = len(self.task.widths) // 2
        detector = RecordingAutoEncoder(
            preprocessing=False,
            lr=LEARNING_RATE,
            epoch_num=1,
            batch_size=self.task.batch_size,
            device="cpu",
            random_state=SEED,
            use_compile=self.compiled,
            verbose=0,
            optimizer_params={},
            hidden_neuron_list=list(self.task.widths[1 : middle + 1]),
            batch_norm=False,
            dropout_rate=0.0,
        )
        # What `fit` does before its epochs, but for the weights.
        detector.criterion = torch.nn.BCEWithLogitsLoss()
        detector.data_num, detector.feature_size = X.shape
        detector.build_model()
        layers = [module for module in detector.model.modules() if isinstance(module, torch.nn.Linear)]
        with torch.no_grad():
            for layer, (kernel, bias) in zip(layers, initial_weights(self.task.widths, SEED), strict=True):
                layer.weight.copy_(torch.from_numpy(kernel.T.copy()))
                layer.bias.copy_(torch.from_numpy(bias))
        detector.training_prepare()
        detector.optimizer = torch.optim.Adam(
            detector.model.parameters(), LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )
        self.detector = detector
        self.loader = torch.utils.data.DataLoader(
            TorchDataset(X=X, y=None), batch_size=self.task.batch_size, shuffle=shuffle, drop_last=True
        )

    def epoch(self) -> float:
        self.detector.losses = []
        self.detector.train(self.loader)
        return sum(self.detector.losses) / len(self.detector.losses)


def forms(precision: str) -> tuple[str, ...]:
    return tuple(_FORMS) if precision == "float32" else ()


def facts() -> dict[str, str]:
    return {"pyod": pyod.__version__, "torch": torch.__version__}


def trainer(form: str, task: Task) -> PyodTrainer:
    return PyodTrainer(form, task)


def reconstructors(task: Task) -> dict[str, Reconstruct]:
    del task
    return {}
