"""Early stopping counts the validations since the best one."""

from jaxdet.training.patience import Patience


def after(scores, most=2, state=None):
    patience = Patience(most, state or {})
    for score in scores:
        patience.note(score)
    return patience


def test_it_is_over_after_the_validations_without_a_better_score():
    assert not after([]).is_over
    assert not after([0.1, 0.1]).is_over
    assert after([0.1, 0.1, 0.05]).is_over
    assert not after([0.1, 0.1, 0.2, 0.1]).is_over
    assert after([None, None]).is_over
    assert not after([0.0]).is_over


def test_no_patience_is_never_over():
    assert not after([0.1] * 9, most=0).is_over


def test_its_state_resumes_it():
    state = after([0.3, 0.2]).state()
    assert after([0.25], state=state).is_over
    assert not after([0.4], state=state).is_over
    assert str(after([0.3, 0.2, 0.1])) == "val_map has not risen above 0.3 for 2 validations (training.patience=2)"
