"""A model cut in two: `features.onnx`, the backbone whose outputs are kept, and `head.onnx`, the rest."""
