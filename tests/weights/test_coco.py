from jaxdet.weights.coco import CATEGORIES


def test_cocos_categories_are_its_80_classes():
    assert len(CATEGORIES) == 90 and len(set(CATEGORIES) - {"N/A"}) == 80
    assert [CATEGORIES[k - 1] for k in (1, 18, 44, 72, 90)] == ["person", "dog", "bottle", "tv", "toothbrush"]
