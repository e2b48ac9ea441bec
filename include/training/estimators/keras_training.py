"""Training of dense networks by Keras on TensorFlow: the same weights for the same rows, settings and machine.

Keras and TensorFlow keep much of their state in the process and in the environment: the backend, seeds, threads, what a file of
the user's home says. All that a fit depends on is said here, and what others use is put back.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np

from include.errors import ConfigError
from include.training.estimators.optional_libraries import import_library

Array = np.ndarray[Any, Any]

Part = tuple[Array, Array, Array]
"""Rows, their target and their weights."""


def train_network(parts: list[Part], settings: dict[str, Any]) -> list[Array]:
    """Fit a network of dense layers.

    Parameters
    ----------
    parts : list of (array of shape (n_rows, n_columns), array of shape (n_rows,), array of shape (n_rows,))
        Rows to learn from with target and weights; a second part tells when to stop.
    settings : dict
        Those of `KerasMLP`, with ``loss`` by Keras's name and the number of ``outputs``.

    Returns
    -------
    list of array of float32
        Weights and biases of each layer in turn.
    """
    keras = _keras()
    X, y, weight = (np.asarray(part, dtype=np.float32) for part in parts[0])
    with _seeded(keras, settings["random_state"] or 0):
        network = _network(keras, X.shape[1], settings)
        stop: dict[str, Any] = {}
        if len(parts) > 1:
            stop["validation_data"] = tuple(np.asarray(part, dtype=np.float32) for part in parts[1])
            stop["callbacks"] = [
                keras.callbacks.EarlyStopping("val_loss", patience=settings["patience"], restore_best_weights=True)
            ]
        size = min(settings["batch_size"], len(y))
        network.fit(X, y, sample_weight=weight, batch_size=size, epochs=settings["epochs"], verbose=0, **stop)
        return [np.asarray(array, dtype=np.float32) for array in network.get_weights()]


def _network(keras: Any, columns: int, settings: dict[str, Any]) -> Any:
    # Types and constants that a file of the user's home could set otherwise are named.
    penalty = keras.regularizers.L2(settings["l2"]) if settings["l2"] else None
    layers = [keras.Input((columns,), dtype="float32")]
    for units in settings["layers"]:
        layers.append(
            keras.layers.Dense(int(units), settings["activation"], kernel_regularizer=penalty, dtype="float32")
        )
        if settings["dropout"]:
            layers.append(keras.layers.Dropout(settings["dropout"], dtype="float32"))
    layers.append(keras.layers.Dense(settings["outputs"], kernel_regularizer=penalty, dtype="float32"))
    network = keras.Sequential(layers)
    losses = {
        "binary_crossentropy": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        "sparse_categorical_crossentropy": lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "mean_squared_error": keras.losses.MeanSquaredError,
        "mean_absolute_error": keras.losses.MeanAbsoluteError,
        "huber": keras.losses.Huber,
    }
    adam = keras.optimizers.Adam(settings["learning_rate"], epsilon=1e-7)
    # Networks of this size are trained sooner than they are compiled.
    network.compile(optimizer=adam, loss=losses[settings["loss"]](), weighted_metrics=[], jit_compile=False)
    # Or the first step makes its variables, and is traced once more without.
    adam.build(network.trainable_variables)
    return network


@contextmanager
def _seeded(keras: Any, seed: int) -> Iterator[None]:
    # Keras seeds Python's and numpy's generators, too, which other code in this process uses.
    others = random.getstate(), np.random.get_state()
    try:
        keras.utils.set_random_seed(seed)
        yield
    finally:
        keras.utils.clear_session()
        random.setstate(others[0])
        np.random.set_state(others[1])


@cache
def _keras() -> Any:
    """Return Keras on TensorFlow, with one thread, no GPU and operations that give the same each time."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its kernels add up in another order on another processor.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    with tempfile.TemporaryDirectory() as empty:
        # Without this Keras reads and writes ~/.keras.
        before = {name: os.environ.get(name) for name in ("KERAS_BACKEND", "KERAS_HOME")}
        os.environ |= {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": empty}
        try:
            tensorflow, keras = import_library("tensorflow"), import_library("keras")
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            "Keras runs on another backend in this process.",
            expected="tensorflow",
            found=keras.backend.backend(),
            where="the Python environment of this process",
            remedy="import Keras nowhere else, or with KERAS_BACKEND=tensorflow",
        )
    # Too late where other code of this process has already used TensorFlow; then its threads are as that left them.
    with suppress(RuntimeError):
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        tensorflow.config.set_visible_devices([], "GPU")
    tensorflow.config.experimental.enable_op_determinism()
    return keras
