"""Trees of device arrays as named NumPy arrays, and back, with the same bits.

What NumPy has no dtype for is stored as what it is made of: a random key as its words, a bfloat16 as unsigned integers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree of arrays by their dotted paths (`hidden.0.kernel`), in the tree's order."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {".".join(_word(key) for key in path): leaf for path, leaf in leaves}


def on_host(array: Any) -> np.ndarray:
    """A device array as NumPy's, once it is computed.

    Where one output of a call had no memory, jaxlib 0.10.2 waits for ever if NumPy asks for another; this raises.

    Raises:
        jax.errors.JaxRuntimeError: the call that was to compute it failed.
    """
    computed = jax.block_until_ready(array)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return np.asarray(computed)


def to_host(tree: Any) -> dict[str, np.ndarray]:
    """Copies of a tree's leaves on the host. Names begin with the leaf's place, so that no two are the same.

    >>> to_host({"kernel": jnp.ones((2,)), "key": jax.random.key(7)})
    {'0.kernel': array([1., 1.], dtype=float32), '1.key': array([0, 7], dtype=uint32)}
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {".".join((str(place), *map(_word, path))): _plain(leaf) for place, (path, leaf) in enumerate(leaves)}


def to_device(arrays: Mapping[str, np.ndarray], like: Any, device: jax.Device) -> Any:
    """A tree with the structure and dtypes of `like` of the arrays that `to_host` made of such a tree."""
    leaves = [_restored(array, leaf) for array, leaf in zip(arrays.values(), jax.tree.leaves(like), strict=True)]
    return jax.device_put(jax.tree.unflatten(jax.tree.structure(like), leaves), device)


def _plain(leaf: Any) -> np.ndarray:
    array = on_host(jax.random.key_data(leaf) if _is_key(leaf) else leaf).copy()
    return array.view(f"u{array.dtype.itemsize}") if array.dtype.kind == "V" else array


def _restored(array: np.ndarray, leaf: Any) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    return array.view(leaf.dtype)


def _is_key(leaf: Any) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _word(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)
