"""Write what skl2onnx makes of small scikit-learn models. README.md names the versions.

python make_sklearn.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from skl2onnx import convert_sklearn, to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

FOLDER = Path(__file__).parent
NAMES = np.array(["setosa", "versicolor", "virginica"])


def save(name, model, rows, **options) -> None:
    """Convert ``model`` as a user would, with ``options`` for its last step."""
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    settings = {id(last): options} if options else None
    made = to_onnx(model, rows[:1], options=settings, target_opset=18)
    (FOLDER / f"{name}.onnx").write_bytes(made.SerializeToString())


def mlp(kind=MLPClassifier, width: int = 48):
    return kind(hidden_layer_sizes=(width,), max_iter=60, random_state=0)


def mixed() -> None:
    """One input per column, numbers and text: a ColumnTransformer before a network."""
    import pandas as pd

    chance = np.random.default_rng(0)
    table = pd.DataFrame({f"f{i}": chance.normal(size=400).astype(np.float32) for i in range(4)})
    table["colour"] = chance.choice(["red", "green", "blue"], 400)
    answers = (table["f0"] + (table["colour"] == "red") > 0).astype(int)
    columns = ColumnTransformer(
        [("n", StandardScaler(), ["f0", "f1", "f2", "f3"]), ("c", OneHotEncoder(), ["colour"])]
    )
    model = make_pipeline(columns, MLPClassifier((64, 32), max_iter=60, random_state=0)).fit(table, answers)
    types = [(f"f{i}", FloatTensorType([None, 1])) for i in range(4)] + [
        ("colour", StringTensorType([None, 1]))
    ]
    made = convert_sklearn(
        model, initial_types=types, options={id(model.steps[-1][1]): {"zipmap": False}}, target_opset=18
    )
    (FOLDER / "skl_mixed_columns.onnx").write_bytes(made.SerializeToString())


def main() -> None:
    rows, labels = load_digits(return_X_y=True)
    rows = (rows / 16).astype(np.float32)
    flowers, kinds = load_iris(return_X_y=True)
    flowers = flowers.astype(np.float32)

    save("skl_logistic", LogisticRegression(max_iter=500).fit(flowers, kinds), flowers, zipmap=False)
    save("skl_logistic_zipmap_text", LogisticRegression(max_iter=500).fit(flowers, NAMES[kinds]), flowers)
    save(
        "skl_forest",
        RandomForestClassifier(4, max_depth=4, random_state=0).fit(flowers, kinds),
        flowers,
        zipmap=False,
    )

    save("skl_mlp", mlp().fit(rows, labels), rows, zipmap=False)
    save("skl_mlp_zipmap", mlp().fit(rows, labels), rows)
    save("skl_mlp_zipmap_columns", mlp().fit(rows, labels), rows, zipmap="columns")
    words = np.char.add("digit ", labels.astype(str))
    save("skl_mlp_text", make_pipeline(StandardScaler(), mlp()).fit(rows, words), rows, zipmap=False)
    save("skl_mlp_zipmap_text", mlp().fit(rows, words), rows)
    save("skl_mlp_binary", mlp().fit(rows, labels > 4), rows, zipmap=False)
    save("skl_mlp_tiny", mlp(width=4).fit(flowers, kinds), flowers, zipmap=False)
    save("skl_mlp_double", mlp(width=8).fit(rows, labels), rows.astype(np.float64), zipmap=False)
    save("skl_mlp_regressor", mlp(MLPRegressor).fit(rows, labels.astype(np.float32)), rows)
    mixed()


if __name__ == "__main__":
    main()
