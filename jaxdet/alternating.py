"""The paper's 4-step alternating training (Faster R-CNN, 3.2): two networks that come to share their convolutions.

1 trains the region proposal network from ImageNet's weights; 2 trains Fast R-CNN on its proposals, from ImageNet's
weights again; 3 trains the RPN's own layers on Fast R-CNN's convolutions, which stay as they are; 4 trains Fast
R-CNN's own layers on the proposals of 3. All four have the parameters of the whole detector; each changes its part.
"""

import logging
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from jaxdet.building import build_region_net, eval_batches_of
from jaxdet.checks import bind
from jaxdet.data.dataset import Dataset
from jaxdet.evaluation.predict import detect_split
from jaxdet.fitting import learning, normalised, run_stage
from jaxdet.models.detector import Detector, Params
from jaxdet.models.fast_rcnn import NORMALISATION, fast_rcnn, fold_normalisation
from jaxdet.models.rpn import region_proposal_network, rpn_detector
from jaxdet.ops.propose import propose
from jaxdet.proposals.cache import ProposalTable, open_proposals, save_proposals
from jaxdet.sections import stage_config
from jaxdet.starting import starting_params
from jaxdet.training.checkpoints import has_checkpoint, save_params
from jaxdet.training.sharding import data_mesh, replicate, shard_batch
from jaxdet.training.stages import start_from

log = logging.getLogger(__name__)

RPN = ("rpn_",)
HEAD = ("fc6", "fc7", "cls_score", "bbox_pred")
HEAD_OUTPUTS = ("cls_score", "bbox_pred")


def train_alternating(config: ConfigDict, workdir: Path, dataset: Dataset, validation: Dataset | None) -> None:
    """Runs the four steps in workdir/stages/, each from where it was left, and saves the whole detector."""
    if has_checkpoint(workdir):
        return
    rpn, fast = _detectors(config, len(dataset.class_names))
    rpn_config, fast_config = (stage_config(config, name) for name in ("rpn", "fast_rcnn"))
    free = learning(config.training.frozen, rpn)  # what ImageNet's weights leave to be learned

    def train_rpn(name: str, begin, learns) -> Params:
        # Its predictions are proposals: there is nothing to score before Fast R-CNN has seen them.
        data, folder = (dataset, None), workdir / "stages" / name
        return run_stage(rpn_config, rpn, data, name=name, folder=folder, start=begin, learns=learns, validation=None)

    def train_fast(name: str, begin, learns, proposals: ProposalTable, valid_proposals: ProposalTable | None) -> Params:
        data, folder = (dataset, proposals), workdir / "stages" / name

        def normalised_start(fresh: Params) -> Params:
            return normalised(begin(fresh), fast_config, data)

        split = None if validation is None else (validation, valid_proposals)
        return run_stage(
            fast_config, fast, data, name=name, folder=folder, start=normalised_start, learns=learns, validation=split
        )

    def proposals_of(name: str, params: Params) -> tuple[ProposalTable, ProposalTable | None]:
        made = [
            split and _proposals(rpn_config, rpn, params, split, workdir / "stages" / name / f"proposals_{part}.npz")
            for part, split in (("train", dataset), ("validation", validation))
        ]
        return made[0], made[1]

    def from_imagenet(fresh: Params) -> Params:
        source = starting_params(config)
        return fresh if source is None else start_from(source, fresh)

    first = train_rpn("1_rpn", from_imagenet, lambda path: free(path) and not path.startswith(HEAD))
    proposals = proposals_of("1_rpn", first)
    second = train_fast("2_fast_rcnn", from_imagenet, lambda path: free(path) and not path.startswith(RPN), *proposals)
    shared = {name: layer for name, layer in second.items() if name != NORMALISATION}
    third = train_rpn("3_rpn", lambda fresh: _anew(shared, fresh, RPN), lambda path: path.startswith(RPN))
    proposals = proposals_of("3_rpn", third)
    fourth = train_fast(
        "4_fast_rcnn", lambda fresh: _anew(third, fresh, HEAD_OUTPUTS), lambda path: path.startswith(HEAD), *proposals
    )
    steps = 2 * (rpn_config.training.steps + fast_config.training.steps)
    save_params(workdir, fold_normalisation(fourth, config.model.delta_std), step=steps)


def _detectors(config: ConfigDict, classes: int) -> tuple[Detector, Detector]:
    """The RPN alone, whose predictions are the proposals that Fast R-CNN trains on, and Fast R-CNN."""
    net, anchors = build_region_net(config, classes)
    model = config.model
    names = "rpn_targets", "min_proposal_size", "rpn_sigma", "rpn_box_weight", "rpn_box_normaliser"
    rpn = region_proposal_network(
        net, anchors, **{name: model[name] for name in names}, cross_boundary_anchors=model.cross_boundary_anchors
    )
    best = bind(propose, model.train_proposals, section="train_proposals", max_log_scale=model.max_log_scale)
    names = "roi_targets", "detections", "roi_sigma", "roi_pooling", "max_log_scale"
    fast = fast_rcnn(net, num_classes=classes, **{name: model[name] for name in names})
    return rpn_detector(net, rpn, best), fast


def _anew(params: Params, fresh: Params, prefixes: tuple[str, ...]) -> Params:
    """`params` with the layers of these prefixes as freshly drawn, and those it lacks."""
    return fresh | {name: layer for name, layer in params.items() if not name.startswith(prefixes)}


def _proposals(config: ConfigDict, rpn: Detector, params: Params, dataset: Dataset, path: Path) -> ProposalTable:
    """The RPN's proposals for a split, made once and kept in a file like Selective Search's."""
    key = {"method": "rpn", "dataset": dataset.fingerprint, "images": len(dataset)}
    key |= {"limits": config.model.train_proposals.to_dict(), "steps": config.training.steps}
    if path.exists():
        return open_proposals(path, key)
    log.info("proposals of %s for %d images", path.parent.name, len(dataset))
    mesh = data_mesh()
    params, detect = replicate(params, mesh), jax.jit(rpn.predict)
    batches = eval_batches_of(config, dataset, None)
    found = detect_split(lambda batch: detect(params, shard_batch(batch, mesh)), batches)
    starts = np.searchsorted(found.image, np.arange(len(dataset) + 1)).astype(np.int64)
    table = ProposalTable(found.boxes, starts)
    if jax.process_index() == 0:
        save_proposals(path, table, key)
    return table
