"""The R-CNN family in JAX: R-CNN, Fast R-CNN and Faster R-CNN on PASCAL VOC."""
