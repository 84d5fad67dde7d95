"""What is compiled: models, losses, metrics, optimizers, micro-batch arithmetic and the program itself.

Importing this package imports nothing; `program` is the only room with a `jax.jit` in it.
"""
