"""Models to copy: each file is one model, written as a user would write it.

A sweep calls what `use:` names with `input_shape` (of one row, without the batch), `outputs` (how many classes, or
numbers to predict), `rngs`, and the keys beside `use`.
"""
