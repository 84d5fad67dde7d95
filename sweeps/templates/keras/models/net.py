"""A Keras model for images, or for rows of numbers."""

import keras


def build(outputs: int, width: int = 64, rate: float = 0.2) -> keras.Model:
    """Two dense layers with dropout between them; it gives logits."""
    return keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dropout(rate),
            keras.layers.Dense(outputs),
        ]
    )
