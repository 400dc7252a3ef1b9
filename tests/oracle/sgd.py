"""Caffe's SGDSolver: the rate stands inside the momentum, biases learn twice as fast and decay like kernels."""


def step(params, velocity, gradients, *, rate, momentum=0.9, decay=5e-4):
    """One step in place, for the parameters that have a velocity (the others are frozen)."""
    for path in velocity:
        local_rate = rate * (2 if path.endswith("/bias") else 1)
        velocity[path] = momentum * velocity[path] + local_rate * (gradients[path] + decay * params[path])
        params[path] = params[path] - velocity[path]
