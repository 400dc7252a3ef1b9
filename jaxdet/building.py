"""From a config to what training and evaluation run on: the detector, the data set, its proposals and its batches."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxdet.checks import InputError, bind, nearest
from jaxdet.data.dataset import Dataset, open_split
from jaxdet.data.datasets.shapes import prepare_shapes
from jaxdet.data.datasets.voc_folder import prepare_devkit
from jaxdet.data.datasets.voc_splits import open_voc
from jaxdet.data.pipeline import eval_batches, photo_batch, train_batches
from jaxdet.models.detector import Detector
from jaxdet.models.fast_rcnn import fast_rcnn
from jaxdet.models.faster_rcnn import faster_rcnn
from jaxdet.models.rcnn import rcnn
from jaxdet.models.rpn import Rpn, region_proposal_network
from jaxdet.nets.crop_net import CropNet, crop_net
from jaxdet.nets.region_net import STRIDE, RegionNet, region_net
from jaxdet.ops.anchors import base_anchors
from jaxdet.proposals.search import search_split
from jaxdet.proposals.selective_search import selective_search
from jaxdet.training import state
from jaxdet.training.sharding import check_batch_size, data_mesh
from jaxdet.types import Batch, Params, ProposalTable

DATASETS = {"shapes": prepare_shapes, "devkit": prepare_devkit, "voc": open_voc}
NO_SVD = (0, 0)


def build_detector(
    config: ConfigDict, class_names: tuple[str, ...], *, svd_ranks: tuple[int, int] = NO_SVD
) -> Detector:
    """The detector of a config, for the classes of a data set (without the background).

    svd_ranks are of parameters that nets.svd.compress made.
    """
    classes = len(class_names)
    if config.system == "rcnn":
        return bind(rcnn, config.model, section="model")(build_crop_net(config, classes))
    net, anchors = build_region_net(config, classes, svd_ranks=svd_ranks)
    if config.system == "fast_rcnn":
        return bind(fast_rcnn, config.model, section="model", num_classes=classes)(net)
    return bind(faster_rcnn, config.model, section="model")(net, anchors)


def build_region_net(
    config: ConfigDict, classes: int, *, svd_ranks: tuple[int, int] = NO_SVD
) -> tuple[RegionNet, np.ndarray]:
    """The net over whole images and its anchors f32[A,4], of which Fast R-CNN has none."""
    anchors = np.zeros((0, 4), np.float32)
    if config.system == "faster_rcnn":
        anchors = bind(base_anchors, config.anchors, section="anchors", stride=STRIDE)()
    sizes = {"num_classes": classes, "num_anchors": len(anchors), "svd_ranks": svd_ranks}
    return bind(region_net, config.net, section="net", **sizes)(), anchors


def build_rpn(config: ConfigDict, net: RegionNet, anchors: np.ndarray) -> Rpn:
    """The region proposal network of a Faster R-CNN on its own."""
    fields = "rpn_targets", "min_proposal_size", "rpn_sigma", "rpn_box_weight", "rpn_box_normaliser"
    options = {field: config.model[field] for field in (*fields, "cross_boundary_anchors")}
    return region_proposal_network(net, anchors, **options)


def build_crop_net(config: ConfigDict, classes: int) -> CropNet:
    """R-CNN's net over crops; it always rounds as Caffe does, for all crops are of one size."""
    fields = {name: value for name, value in config.net.items() if name != "pooling"}
    return bind(crop_net, fields, section="net", num_classes=classes)()


def open_dataset(config: ConfigDict, part: str) -> Dataset:
    """The split that config.splits names for `part` ('train', 'validation', 'test'), prepared where it is not yet."""
    fields = config.dataset.to_dict()
    kind = fields.pop("kind")
    if kind not in DATASETS:
        raise InputError(f"dataset.kind: no {kind!r}; {nearest(kind, DATASETS)}")
    split = config.splits[part]
    if not split:
        raise InputError(f"splits.{part} is empty; name a split, or set training.eval_every=0 to train without any.")
    if kind == "voc":
        return bind(open_voc, fields, section="dataset", split=split)()
    if kind == "devkit":
        fields["splits"] = tuple(dict.fromkeys(name for name in config.splits.values() if name))
    return open_split(bind(DATASETS[kind], fields, section="dataset")(), split)


def proposals_of(config: ConfigDict, dataset: Dataset) -> ProposalTable | None:
    """Selective Search's boxes for a split, searched where that was not done yet; None for a detector with its own.

    Raises:
      InputError: see search_split; or there are several processes and nothing is searched yet.
    """
    if config.system == "faster_rcnn":
        return None
    path = proposals_file(config, dataset)
    if jax.process_count() > 1 and not path.exists():  # they would all search, or wait for longer than jax lets them
        raise InputError(
            f"proposals: {path} must be there before several processes start, got none; run this "
            "once without --distributed."
        )
    return bind(search_split, config.proposals, section="proposals")(dataset, path)


def proposals_file(config: ConfigDict, dataset: Dataset) -> Path:
    """Where Selective Search's boxes for a split are kept; searches of other parameters lie side by side."""
    chosen = hashlib.sha256(json.dumps(search_parameters(config), sort_keys=True).encode()).hexdigest()[:8]
    folder = Path(config.dataset.data_dir).expanduser() / "proposals"
    return folder / f"selective_search_{dataset.fingerprint}_{chosen}.npz"


def search_parameters(config: ConfigDict) -> dict[str, Any]:
    """What Selective Search's boxes depend on, beside the images."""
    return {name: value for name, value in config.proposals.items() if name != "workers"}


def batches_of(
    config: ConfigDict, dataset: Dataset, proposals: ProposalTable | None
) -> Callable[[int], Iterator[Batch]]:
    """finished steps -> this process's rows of the training batches of all steps after them."""
    training = config.training
    check_batch_size(training.batch_size, data_mesh(), accumulate=training.accumulate)
    plan = {"batch_size": training.batch_size, "seed": config.seed, "start_step": 0}
    make = bind(train_batches, config.input, section="input", **plan, **_with(proposals), **_rows())
    return lambda step: make(dataset, start_step=step)


def eval_batches_of(config: ConfigDict, dataset: Dataset, proposals: ProposalTable | None) -> Iterator[Batch]:
    """This process's rows of the batches that hold every image of a split once."""
    check_batch_size(config.evaluation.batch_size, data_mesh())
    fields = {name: value for name, value in config.input.items() if name != "flip"}
    rows = {"batch_size": config.evaluation.batch_size, **_with(proposals), **_rows()}
    return bind(eval_batches, fields, section="input", **rows)(dataset)


def photo_batch_of(config: ConfigDict, image: np.ndarray) -> Batch:
    """A batch of one photo u8[H,W,3], with Selective Search's boxes for a detector that needs them."""
    sides = {"short_side": config.input.short_side, "long_side": config.input.long_side}
    if config.system == "faster_rcnn":
        return photo_batch(image, **sides)
    boxes = bind(selective_search, search_parameters(config), section="proposals")(image)
    return photo_batch(image, **sides, proposals=boxes, max_proposals=config.proposals.max_boxes)


def score_threshold(config: ConfigDict) -> float:
    """The score from which on a detection is worth drawing: an SVM's margin, or half of the probability."""
    return 0.0 if config.system == "rcnn" and config.model.scoring == "svm" else 0.5


def check_fit(params: Params, detector: Detector, what: str) -> None:
    """Raises InputError where `params`, which came from `what`, are not of the detector's shapes."""
    got, wanted = (
        {path: leaf.shape for path, leaf in state.flatten(tree).items()} for tree in (params, shapes(detector))
    )
    wrong = [f"{path} {got.get(path)} for {shape}" for path, shape in wanted.items() if got.get(path) != shape]
    if wrong:
        raise InputError(f"{what} does not fit the config ({'; '.join(wrong[:3])}); give the one it had.")


def shapes(detector: Detector) -> Params:
    """The parameters' shapes and dtypes."""
    return jax.eval_shape(detector.init, jax.random.key(0))


def _with(proposals: ProposalTable | None) -> dict:
    if proposals is None:
        return {}
    most = int(np.diff(proposals.starts).max(initial=1))
    return {"proposals": proposals, "max_proposals": max(most, 1)}


def _rows() -> dict[str, int]:
    return {"process_index": jax.process_index(), "process_count": jax.process_count()}
