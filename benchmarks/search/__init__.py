"""How much training a search needs: recorded learning curves, looked up by the real study.

    python -m benchmarks.search FOLDER --lanes 1 8 --seeds 20 --out page.md

FOLDER has `lcbench/` and `taskset/`: see `tasks`. `arms` are the searches that are compared, `replay` drives them.
"""
