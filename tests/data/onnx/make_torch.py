"""Write what PyTorch's two exporters make of small networks. README.md names the versions.

python make_torch.py

The dynamo exporter notes where each node came from (paths of the machine that exported it); these notes
are cut out, nothing else is changed.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import nn

FOLDER = Path(__file__).parent


class Pair(nn.Module):
    """Two inputs, one of them integers, and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(16, 8)
        self.mix = nn.Linear(8 + 24, 64)
        self.classes = nn.Linear(64, 5)
        self.size = nn.Linear(64, 1)

    def forward(self, words, numbers):
        both = torch.cat([self.table(words).mean(dim=1), numbers], dim=1)
        hidden = torch.relu(self.mix(both))
        return self.classes(hidden), torch.sigmoid(self.size(hidden))


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 32, 3, padding=1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
        nn.Softmax(dim=1),
    )


class Sequence(nn.Module):
    """A recurrent layer: nothing that is made int8 but its small head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, steps):
        return self.head(self.body(steps)[0][:, -1])


class Arithmetic(nn.Module):
    """No weights at all."""

    def forward(self, rows):
        return torch.sigmoid(rows * 2 - 1)


class TracedSize(nn.Module):
    """A size that was a Python number while it was traced, so that the graph holds it as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(32, 64)

    def forward(self, rows):
        return self.body(rows).view(int(rows.shape[0]), 8, 8).mean(dim=2)


def script(name: str, model: nn.Module, inputs, opset: int, **options) -> None:
    """Export with the TorchScript exporter."""
    torch.onnx.export(
        model.eval(), inputs, FOLDER / f"{name}.onnx", opset_version=opset, dynamo=False, **options
    )


def dynamo(name: str, model: nn.Module, inputs, opset: int, shapes=None, *, external: bool = False) -> None:
    """Export with the dynamo exporter."""
    path = FOLDER / f"{name}.onnx"
    torch.onnx.export(
        model.eval(),
        inputs,
        path,
        opset_version=opset,
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=external,
        verbose=False,
    )
    made = onnx.load(path, load_external_data=False)
    del made.metadata_props[:]
    for thing in [
        made.graph,
        *made.graph.node,
        *made.graph.value_info,
        *made.graph.input,
        *made.graph.output,
        *made.graph.initializer,
    ]:
        thing.ClearField("metadata_props")
        thing.ClearField("doc_string")
    path.write_bytes(made.SerializeToString())


def main() -> None:
    torch.manual_seed(0)
    row, image = torch.rand(2, 32), torch.rand(2, 3, 16, 16)
    pair = (torch.randint(0, 16, (2, 6)), torch.rand(2, 24))
    batch = torch.export.Dim("batch")
    free = {
        "input_names": ["rows"],
        "output_names": ["logits"],
        "dynamic_axes": {"rows": {0: "n"}, "logits": {0: "n"}},
    }

    script("torch_linear_script_13", linear(), (row,), 13, **free)
    script("torch_linear_script_fixed_17", linear(), (row,), 17)
    script("torch_conv_script_13", conv(), (image,), 13, **free)
    script("torch_conv_script_fixed_20", conv(), (image[:1],), 20)
    script(
        "torch_pair_script_17",
        Pair(),
        pair,
        17,
        input_names=["words", "numbers"],
        output_names=["logits", "size"],
        dynamic_axes={"words": {0: "n", 1: "length"}, "numbers": {0: "n"}},
    )
    script("torch_lstm_script_15", Sequence(), (torch.rand(2, 5, 8),), 15, **free)
    script("torch_arithmetic_script_14", Arithmetic(), (row,), 14, **free)
    script("torch_half_script_17", linear().half(), (row.half(),), 17, **free)
    script("torch_open_weights_script_9", linear(), (row,), 9, keep_initializers_as_inputs=True, **free)
    script("torch_traced_size_script_17", TracedSize(), (row,), 17, **free)
    dynamo("torch_linear_dynamo_18", linear(), (row,), 18, ({0: batch},))
    dynamo("torch_linear_dynamo_external_20", linear(), (row,), 20, ({0: batch},), external=True)
    dynamo("torch_conv_dynamo_20", conv(), (image,), 20, ({0: batch},))
    dynamo("torch_conv_dynamo_fixed_18", conv(), (image,), 18)
    dynamo("torch_pair_dynamo_18", Pair(), pair, 18, ({0: batch}, {0: batch}))
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    dynamo("torch_transformer_dynamo_18", encoder, (torch.rand(2, 5, 16),), 18, ({0: batch},))


if __name__ == "__main__":
    main()
