"""The optimizers of optax and their arguments, as plain text, so that a config is checked without importing JAX.

A test compares this table with the installed optax. An argument with a `!` has no default. What only a newer optax has
is found there by `validation`, and noted by `sweep check`.
"""

from __future__ import annotations

_TABLE = """
adabelief: learning_rate! b1 b2 eps eps_root nesterov
adadelta: learning_rate rho eps weight_decay weight_decay_mask
adafactor: learning_rate min_dim_size_to_factor decay_rate decay_offset multiply_by_parameter_scale clipping_threshold momentum dtype_momentum weight_decay_rate eps factored weight_decay_mask
adagrad: learning_rate! initial_accumulator_value eps
adam: learning_rate! b1 b2 eps eps_root mu_dtype nesterov
adamax: learning_rate! b1 b2 eps
adamaxw: learning_rate! b1 b2 eps weight_decay mask
adamw: learning_rate! b1 b2 eps eps_root mu_dtype weight_decay mask nesterov
adan: learning_rate! b1 b2 b3 eps eps_root weight_decay mask
amsgrad: learning_rate! b1 b2 eps eps_root mu_dtype bias_correction_mu bias_correction_nu
fromage: learning_rate! min_norm
lamb: learning_rate! b1 b2 eps eps_root weight_decay mask
lars: learning_rate! weight_decay weight_decay_mask trust_coefficient eps trust_ratio_mask momentum nesterov
lion: learning_rate! b1 b2 mu_dtype weight_decay mask
noisy_sgd: learning_rate! eta gamma key seed
novograd: learning_rate! b1 b2 eps eps_root weight_decay
optimistic_adam: learning_rate! optimism b1 b2 eps eps_root mu_dtype nesterov
optimistic_adam_v2: learning_rate! alpha beta b1 b2 eps eps_root mu_dtype nesterov
optimistic_gradient_descent: learning_rate! alpha beta
polyak_sgd: max_learning_rate scaling f_min eps variant
radam: learning_rate! b1 b2 eps eps_root threshold nesterov
rmsprop: learning_rate! decay eps initial_scale eps_in_sqrt centered momentum nesterov bias_correction
rprop: learning_rate! eta_minus eta_plus min_step_size max_step_size
sgd: learning_rate! momentum nesterov accumulator_dtype
sign_sgd: learning_rate!
signum: learning_rate! beta accumulator_dtype
sm3: learning_rate! momentum
yogi: learning_rate! b1 b2 eps
"""  # noqa: E501  (one optimizer a line reads as the table that it is)

ARGUMENTS: dict[str, dict[str, bool]] = {
    name: {word.rstrip("!"): word.endswith("!") for word in words.split()}
    for name, _, words in (line.partition(":") for line in _TABLE.strip().splitlines())
}
"""Optimizer name to its argument names, each with whether it must be given."""
