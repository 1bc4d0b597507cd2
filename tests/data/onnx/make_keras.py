"""Write what Keras' own export and tf2onnx make of small networks. README.md names the versions.

python make_keras.py
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
import tf2onnx
from keras import layers

FOLDER = Path(__file__).parent


def dense() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((32,), name="rows"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def conv() -> keras.Model:
    """Channels last, so that ONNX needs transposes around every convolution."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3), name="image"),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def pair() -> keras.Model:
    words = keras.Input((6,), dtype="int32", name="words")
    numbers = keras.Input((24,), name="numbers")
    both = layers.Concatenate()([layers.GlobalAveragePooling1D()(layers.Embedding(16, 8)(words)), numbers])
    hidden = layers.Dense(64, activation="relu")(both)
    return keras.Model(
        [words, numbers],
        [
            layers.Dense(5, activation="softmax", name="kind")(hidden),
            layers.Dense(1, activation="sigmoid", name="size")(hidden),
        ],
    )


def own(name: str, model: keras.Model) -> None:
    """Export as Keras does it by itself."""
    zeros = [tf.zeros((2, *i.shape[1:]), i.dtype) for i in model.inputs]
    model(zeros if len(zeros) > 1 else zeros[0])
    model.export(FOLDER / f"{name}.onnx", format="onnx", verbose=False)


def tf2(name: str, model: keras.Model, opset: int) -> None:
    """Convert with tf2onnx' function API, the input named by the caller."""
    signature = [tf.TensorSpec(i.shape, i.dtype, name=i.name) for i in model.inputs]
    function = tf.function(
        lambda *given: model(list(given) if len(given) > 1 else given[0]), input_signature=signature
    )
    tf2onnx.convert.from_function(function, signature, opset=opset, output_path=str(FOLDER / f"{name}.onnx"))


def main() -> None:
    keras.utils.set_random_seed(0)
    for name, make in {"dense": dense, "conv": conv, "pair": pair}.items():
        own(f"keras_{name}_export", make())
        tf2(f"keras_{name}_tf2onnx_15", make(), 15)
    tf2("keras_conv_tf2onnx_18", conv(), 18)


if __name__ == "__main__":
    main()
