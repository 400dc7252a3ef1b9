"""The classes of torchvision's COCO detectors: label k is COCO's category k."""

UNUSED = "N/A"  # of the ten categories that COCO does not annotate

CATEGORIES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", UNUSED, "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep"),
    *("cow", "elephant", "bear", "zebra", "giraffe", UNUSED, "backpack", "umbrella", UNUSED, UNUSED),
    *("handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat"),
    *("baseball glove", "skateboard", "surfboard", "tennis racket", "bottle", UNUSED, "wine glass", "cup", "fork"),
    *("knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza"),
    *("donut", "cake", "chair", "couch", "potted plant", "bed", UNUSED, "dining table", UNUSED, UNUSED, "toilet"),
    *(UNUSED, "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", UNUSED, "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
