"""From a request to a model on this disk: request → plan → apply. The plan that is shown is the one executed."""
