"""Greedy non-maximum suppression of static shape: exact, and fast on sequential and on parallel machines."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxdet.checks import check_array
from jaxdet.ops.boxes import pairwise_iou
from jaxdet.ops.by_platform import by_platform


def nms(
    boxes: jax.Array,
    scores: jax.Array,
    valid: jax.Array,
    *,
    iou_threshold: float,
    max_outputs: int,
    tile: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Keep the best box, drop the boxes that overlap it, and repeat with the remaining ones (R-CNN, 2.2).

    Args:
      boxes: f32[N,4] pixels, in any order.
      scores: f32[N]; of equal scores the lower index goes first.
      valid: bool[N]; invalid boxes are not kept and suppress nothing.
      iou_threshold: a box is dropped where its IoU with a kept one is above this; as in torchvision a float32 IoU is
        compared with the float64 threshold.
      max_outputs: boxes kept at most, K; may exceed N.
      tile: boxes decided at a time; None chooses for the backend. It changes the speed only.

    Returns:
      (index i32[K], valid bool[K]) by descending score; invalid slots come last and have index 0.
    """
    check_array("nms: boxes", boxes, shape=("N", 4), dtype=jnp.float32, cure="pass one image's boxes; vmap over images")
    check_array("nms: scores", scores, shape=boxes.shape[:1], dtype=jnp.float32, cure="pass one score per box")
    check_array("nms: valid", valid, shape=boxes.shape[:1], dtype=jnp.bool_, cure="pass the boxes' mask")
    order = jnp.argsort(jnp.where(valid, scores, -jnp.inf), descending=True, stable=True)
    selected, selected_valid = nms_sorted(
        boxes[order], valid[order], iou_threshold=iou_threshold, max_outputs=max_outputs, tile=tile
    )
    return jnp.where(selected_valid, order[selected], 0), selected_valid


def nms_sorted(
    boxes: jax.Array, valid: jax.Array, *, iou_threshold: float, max_outputs: int, tile: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return `nms` of boxes f32[N,4] that are already sorted by descending score; `valid` is bool[N].

    One tile of boxes at a time is compared with the boxes selected so far and then within itself. The loop ends after
    the last tile, or as soon as `max_outputs` boxes are selected.
    """
    check_array("nms_sorted: boxes", boxes, shape=("N", 4), dtype=jnp.float32, cure="pass one image's boxes; vmap")
    check_array("nms_sorted: valid", valid, shape=boxes.shape[:1], dtype=jnp.bool_, cure="pass the boxes' mask")

    def by_tiles(tile: int) -> Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
        return functools.partial(_by_tiles, iou_threshold=iou_threshold, max_outputs=max_outputs, tile=tile)

    if tile is not None:
        return by_tiles(tile)(boxes, valid)
    # A CPU saves work with small tiles; on an accelerator the number of sequential steps decides.
    return by_platform(boxes, valid, cpu=by_tiles(64), default=by_tiles(1024))


def _by_tiles(
    boxes: jax.Array, valid: jax.Array, *, iou_threshold: float, max_outputs: int, tile: int
) -> tuple[jax.Array, jax.Array]:
    tile = min(tile, boxes.shape[0])
    num_tiles = -(-boxes.shape[0] // tile)
    padding = num_tiles * tile - boxes.shape[0]
    corners = jnp.pad(boxes, ((0, padding), (0, 0))).T  # [4,N]: the long axis last halves the time on a CPU
    valid = jnp.pad(valid, (0, padding))
    threshold = _largest_float_not_above(iou_threshold)
    capacity = (-(-max_outputs // tile) + 1) * tile  # the last tile may select more than are wanted

    def unfinished(state):
        step, count, _, _ = state
        return (step < num_tiles) & (count < max_outputs)

    def decide_tile(state):
        step, count, selected_corners, selected_index = state
        tile_corners = lax.dynamic_slice_in_dim(corners, step * tile, tile, axis=1)
        tile_valid = lax.dynamic_slice_in_dim(valid, step * tile, tile)

        # Drop what the boxes selected in earlier tiles suppress.
        def suppress_by_selected(block, alive):
            # Slots that are still free hold boxes of zeros, which overlap nothing.
            block_corners = lax.dynamic_slice_in_dim(selected_corners, block * tile, tile, axis=1)
            return alive & ~jnp.any(pairwise_iou(block_corners.T, tile_corners.T) > threshold, axis=0)

        alive = lax.fori_loop(0, (count + tile - 1) // tile, suppress_by_selected, tile_valid)

        # Select within the tile.
        keep = _greedy(pairwise_iou(tile_corners.T, tile_corners.T) > threshold, alive)

        # Append the selected boxes; the others go to a slot beyond the end and are dropped.
        slot = jnp.where(keep, count + jnp.cumsum(keep.astype(jnp.int32)) - 1, capacity)
        selected_corners = selected_corners.at[:, slot].set(tile_corners, mode="drop")
        selected_index = selected_index.at[slot].set(step * tile + jnp.arange(tile, dtype=jnp.int32), mode="drop")
        return step + 1, count + jnp.sum(keep, dtype=jnp.int32), selected_corners, selected_index

    empty = jnp.zeros((4, capacity), jnp.float32), jnp.zeros(capacity, jnp.int32)
    _, count, _, selected_index = lax.while_loop(unfinished, decide_tile, (jnp.int32(0), jnp.int32(0), *empty))
    selected_valid = jnp.arange(max_outputs) < count
    return jnp.where(selected_valid, selected_index[:max_outputs], 0), selected_valid


def kept_sorted(
    boxes: jax.Array, valid: jax.Array, *, iou_threshold: float, max_outputs: int, tile: int = 1024
) -> jax.Array:
    """Return the boxes that `nms_sorted` selects as a mask bool[N], without gathers and scatters, for a TPU.

    All tiles are decided, however few boxes are wanted: the amount of work is known when the program is compiled.
    """
    threshold = _largest_float_not_above(iou_threshold)
    length = boxes.shape[0]
    tile = min(tile, length)
    num_tiles = -(-length // tile)
    padding = num_tiles * tile - length
    corners = jnp.pad(boxes, ((0, padding), (0, 0))).T  # [4,N]: a TPU is fast along a long last axis

    def decide_tile(step: jax.Array, keep: jax.Array) -> jax.Array:
        own = lax.dynamic_slice_in_dim(corners, step * tile, tile, axis=1).T

        def suppress_by_earlier(block: jax.Array, alive: jax.Array) -> jax.Array:
            earlier = lax.dynamic_slice_in_dim(corners, block * tile, tile, axis=1).T
            selected = lax.dynamic_slice_in_dim(keep, block * tile, tile)
            return alive & ~jnp.any((pairwise_iou(earlier, own) > threshold) & selected[:, None], axis=0)

        alive = lax.dynamic_slice_in_dim(keep, step * tile, tile)
        alive = lax.fori_loop(0, step, suppress_by_earlier, alive)
        selected = _greedy(pairwise_iou(own, own) > threshold, alive)
        return lax.dynamic_update_slice_in_dim(keep, selected, step * tile, axis=0)

    keep = lax.fori_loop(0, num_tiles, decide_tile, jnp.pad(valid, (0, padding)))[:length]
    return keep & (jnp.cumsum(keep.astype(jnp.int32)) <= max_outputs)


def _greedy(suppresses: jax.Array, alive: jax.Array) -> jax.Array:
    """Return the boxes of a tile that are selected: alive, and not suppressed by an earlier selected box.

    Iterates from "all alive boxes" until nothing changes. The first k boxes are right after k rounds, so the fixed
    point is the greedy answer; it is usually reached in a few rounds.

    Args:
      suppresses: bool[T,T]; row i marks the boxes that box i would suppress.
      alive: bool[T]

    Returns:
      bool[T]
    """
    by_earlier = jnp.triu(suppresses, 1)

    def refine(state):
        keep, _ = state
        refined = alive & ~jnp.any(by_earlier & keep[:, None], axis=0)
        return refined, jnp.any(refined != keep)

    return lax.while_loop(lambda state: state[1], refine, (alive, jnp.any(alive)))[0]


def _largest_float_not_above(threshold: float) -> np.float32:
    """Return the float32 `f` with (iou > f) == (iou > threshold) for every float32 iou and a float64 threshold."""
    rounded = np.float32(threshold)
    return np.nextafter(rounded, np.float32(0)) if float(rounded) > threshold else rounded
