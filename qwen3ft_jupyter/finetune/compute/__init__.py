"""What a run computes with: these modules import torch, so nothing imports them before a run needs them."""
