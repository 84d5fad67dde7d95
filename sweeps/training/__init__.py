"""What a lane computes: models, losses, metrics, optimizers, schedules, micro-batches, and an epoch of it all.

Importing this package imports nothing. Its functions are pure; `engine.program` compiles them.
"""
