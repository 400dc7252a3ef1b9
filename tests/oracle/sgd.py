"""Caffe's SGDSolver: the learning rate is inside the momentum; that of biases is doubled, their decay is not."""


def step(params, velocity, gradients, *, rate, momentum=0.9, decay=5e-4):
    """Take one step in place, for the parameters that have a velocity (the others are frozen)."""
    for path in velocity:
        local_rate = rate * (2 if path.endswith("/bias") else 1)
        velocity[path] = momentum * velocity[path] + local_rate * (gradients[path] + decay * params[path])
        params[path] = params[path] - velocity[path]
